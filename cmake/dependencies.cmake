# Finds what hff builds on. Sets HFF_DEPENDENCIES.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h)
if(NOT RANDOM123_INCLUDE_DIR)
  message(FATAL_ERROR "Random123/philox.h not found; on Debian: apt-get install librandom123-dev")
endif()

# oneDNN 2.6 (Debian 12; its CMake package wants OpenCL, so it is looked up by hand) or 3.x.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h HINTS ${DNNL_ROOT}/include $ENV{DNNL_ROOT}/include)
find_library(DNNL_LIBRARY NAMES dnnl HINTS ${DNNL_ROOT}/lib $ENV{DNNL_ROOT}/lib)
if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN not found; on Debian: apt-get install libdnnl-dev; elsewhere set DNNL_ROOT")
endif()
find_package(OpenMP COMPONENTS C) # only to tell oneDNN's runtime that each of our threads is one thread
set(HFF_DEPENDENCIES Threads::Threads ZLIB::ZLIB PkgConfig::JANSSON PkgConfig::YAML PkgConfig::CAIRO ${DNNL_LIBRARY} m)
if(OpenMP_C_FOUND)
  list(APPEND HFF_DEPENDENCIES OpenMP::OpenMP_C)
endif()
include_directories(SYSTEM ${RANDOM123_INCLUDE_DIR} ${DNNL_INCLUDE_DIR})
