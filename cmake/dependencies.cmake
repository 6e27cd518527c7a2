# Finds what hff builds on; also used by find_package(hff). Sets HFF_DEPENDENCIES.
if(NOT DEFINED HFF_NEEDS_HEADERS)
  set(HFF_NEEDS_HEADERS ON) # off for a program that only links the installed library
endif()
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h)
if(HFF_NEEDS_HEADERS AND NOT RANDOM123_INCLUDE_DIR)
  message(FATAL_ERROR "Random123/philox.h not found; on Debian: apt-get install librandom123-dev")
endif()

# oneDNN 2.6 (Debian 12; its CMake package wants OpenCL, so it is looked up by hand) or 3.x.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h HINTS ${DNNL_ROOT}/include $ENV{DNNL_ROOT}/include)
find_library(DNNL_LIBRARY NAMES dnnl HINTS ${DNNL_ROOT}/lib $ENV{DNNL_ROOT}/lib)
if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN not found; on Debian: apt-get install libdnnl-dev; elsewhere set DNNL_ROOT")
endif()
find_package(OpenMP REQUIRED COMPONENTS C) # only to tell oneDNN's runtime that each of our threads is one thread
set(HFF_DEPENDENCIES Threads::Threads ZLIB::ZLIB PkgConfig::JANSSON PkgConfig::YAML PkgConfig::CAIRO ${DNNL_LIBRARY} OpenMP::OpenMP_C m)
if(HFF_NEEDS_HEADERS)
  include_directories(SYSTEM ${RANDOM123_INCLUDE_DIR} ${DNNL_INCLUDE_DIR})
endif()
