# Run by CTest; see CMakeLists.txt for the variables.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${WORK}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DLibTorch_ROOT=${LIBTORCH} -DLIBRARIES=${LIBRARIES}
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=${FLAGS})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
run(${WORK}/prefix/bin/crescendo --help)
if(NOT EXISTS ${WORK}/prefix/share/crescendo/configs/stable-diffusion-2-1/tokenizer/vocab.json)
  message(FATAL_ERROR "the templates of `crescendo convert` are not installed")
endif()
file(REMOVE_RECURSE ${WORK})
