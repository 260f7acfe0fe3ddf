# Shows that check_includes.cmake finds each kind of violation, and nothing else.
#
#     cmake -DWORK=/path/to/scratch -P check_includes_test.cmake

# Writes one file with one include into an otherwise empty repository and runs the check.
function(check file include expected)
  file(REMOVE_RECURSE ${WORK})
  file(WRITE ${WORK}/${file} "#pragma once\n\n  # include ${include}  // why\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${WORK} -P ${CMAKE_CURRENT_LIST_DIR}/check_includes.cmake
    RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  string(FIND "${output}" "${expected}" found)
  if(expected STREQUAL "" AND NOT code EQUAL 0)
    message(SEND_ERROR "${file} may include ${include}, but: ${output}")
  elseif(NOT expected STREQUAL "" AND (code EQUAL 0 OR found EQUAL -1))
    message(SEND_ERROR "${file} may not include ${include}; expected '${expected}', found: ${output}")
  endif()
endfunction()

check(core/x.h "\"core/error.h\"" "")
check(unet/x.cpp "\"core/error.h\"" "")
check(unet/x.cpp "<torch/nn/module.h>" "")
check(pipelines/cli/x.cpp "\"unet/unet.h\"" "")
check(pipelines/cli/x.cpp "\"pipelines/train.h\"" "")
check(tests/e2e/x.cpp "\"pipelines/train.h\"" "")
check(pipelines/models/x.cpp "\"pipelines/models/y.h\"" "")
check(pipelines/training/x.cpp "\"pipelines/models/y.h\"" "")
check(pipelines/train.cpp "\"pipelines/training/y.h\"" "")

check(core/x.h "\"unet/unet.h\"" "core/ may not depend on unet/")
check(core/x.cpp "\"pipelines/train.h\"" "core/ may not depend on pipelines/")
check(vae/x.cu "\"unet/attention.h\"" "vae/ may not depend on unet/")
check(unet/deep/x.h "\"pipelines/train.h\"" "unet/ may not depend on pipelines/")
check(vae/x.cpp "\"tests/parity/fixtures.h\"" "expected a path from the repository's root")
check(vae/x.cpp "\"encoder.h\"" "expected a path from the repository's root")
check(curriculum/x.h "<torch/types.h>" "curriculum/ is free of LibTorch")
check(dataloader/x.cpp "<ATen/core/Tensor.h>" "dataloader/ is free of LibTorch")
check(dataloader/x.cpp "\"c10/core/Device.h\"" "dataloader/ is free of LibTorch")
check(unet/x.h "<torch/torch.h>" "includes all of LibTorch")
check(tests/unet/x.cpp "<torch/torch.h>" "includes all of LibTorch")
check(pipelines/models/x.cpp "\"pipelines/training/y.h\"" "against the order of the folders in pipelines/")
check(pipelines/training/x.cpp "\"pipelines/train.h\"" "against the order of the folders in pipelines/")
check(pipelines/train.cpp "\"pipelines/cli/y.h\"" "against the order of the folders in pipelines/")
check(README.cpp "<vector>" "No sources found")

file(REMOVE_RECURSE ${WORK})
