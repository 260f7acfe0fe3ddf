# Holds every #include to the arrows of docs/architecture.md; one include root cannot.
#
#     cmake -DROOT=/path/to/repository -P check_includes.cmake
#
#     core <- { curriculum, dataloader, diffusion, vae, text_encoder, unet } <- pipelines
#
# curriculum and dataloader are free of LibTorch. torch/torch.h, which costs half a minute in every
# file, is included nowhere.

cmake_minimum_required(VERSION 3.25)

set(ROOMS core curriculum dataloader diffusion vae text_encoder unet pipelines)
set(TORCH_FREE curriculum dataloader)

# Sets `${result}` to what is wrong with `file` of `room` including `header` (with its <> or ""), or to "".
function(check_include result room header)
  set(${result} "" PARENT_SCOPE)
  if(header MATCHES "[<\"]torch/torch\\.h[>\"]")
    set(${result} "includes all of LibTorch; expected the narrow header of what it uses" PARENT_SCOPE)
  elseif(room IN_LIST TORCH_FREE AND header MATCHES "[<\"](torch|ATen|c10)/")
    set(${result} "${room}/ is free of LibTorch" PARENT_SCOPE)
  elseif(header MATCHES "^\"([^/\"]*)")
    set(target "${CMAKE_MATCH_1}")
    if(NOT room IN_LIST ROOMS OR target STREQUAL room)
      return()
    elseif(NOT target IN_LIST ROOMS)
      set(${result} "expected a path from the repository's root, as \"${room}/x.h\"" PARENT_SCOPE)
    elseif(NOT room STREQUAL "pipelines" AND NOT target STREQUAL "core")
      set(${result} "${room}/ may not depend on ${target}/" PARENT_SCOPE)
    endif()
  endif()
endfunction()

set(violations "")
set(checked 0)
foreach(folder IN LISTS ROOMS ITEMS tests bench)
  file(GLOB_RECURSE files RELATIVE ${ROOT}
    ${ROOT}/${folder}/*.h ${ROOT}/${folder}/*.cpp ${ROOT}/${folder}/*.cu)
  foreach(file IN LISTS files)
    math(EXPR checked "${checked} + 1")
    file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[ \t]*#[ \t]*include[ \t]*([<\"][^>\"]*[>\"]).*" "\\1" header "${line}")
      check_include(violation ${folder} "${header}")
      if(violation)
        string(APPEND violations "  ${file}: #include ${header}: ${violation}\n")
      endif()
    endforeach()
  endforeach()
endforeach()

if(violations)
  message(FATAL_ERROR "Includes against the arrows:\n${violations}")
elseif(checked EQUAL 0)
  message(FATAL_ERROR "No sources found in '${ROOT}'")
endif()
message(STATUS "${checked} files include along the arrows")
