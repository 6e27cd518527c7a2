# One value of a JSON file on standard output, for scripts on machines that have CMake but no jq or python3:
#     cmake -DFILE=report.json -DKEY=rows/0/step_ms/median -P tools/json.cmake
# Without KEY it says nothing, and its status whether the file is JSON. A key that is not there: status 1 and the reason.
file(READ "${FILE}" text)
if(NOT KEY)
  string(JSON value ERROR_VARIABLE wrong TYPE "${text}")
else()
  string(REPLACE "/" ";" path "${KEY}")
  string(JSON value ERROR_VARIABLE wrong GET "${text}" ${path})
endif()
if(wrong)
  message(FATAL_ERROR "${FILE}: ${wrong}")
endif()
if(KEY)
  execute_process(COMMAND ${CMAKE_COMMAND} -E echo "${value}")
endif()
