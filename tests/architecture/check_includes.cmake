# Holds every #include to the arrows of docs/architecture.md; one include root cannot.
#
#     cmake -DROOT=/path/to/repository -P check_includes.cmake
#
#     core <- { curriculum, dataloader, diffusion, vae, text_encoder, unet } <- pipelines
#
# Within pipelines/, a folder may use those before it in PIPELINES; the files beside the folders may use
# all of them but cli/.
#
# curriculum and dataloader are free of LibTorch. torch/torch.h, which costs half a minute in every
# file, is included nowhere.

cmake_minimum_required(VERSION 3.25)

set(ROOMS core curriculum dataloader diffusion vae text_encoder unet pipelines)
set(PIPELINES config shards monitoring distributed models generation evaluation serving runs training studies)
set(TORCH_FREE curriculum dataloader)

# The place of `path` ("pipelines/models/x.h") in the order of PIPELINES; the jobs come after it, cli/ last.
function(pipelines_place result path)
  list(LENGTH PIPELINES jobs)
  set(place ${jobs})
  if(path MATCHES "^pipelines/([^/]*)/")
    list(FIND PIPELINES "${CMAKE_MATCH_1}" place)
    if(place EQUAL -1)
      math(EXPR place "${jobs} + 1")
    endif()
  endif()
  set(${result} ${place} PARENT_SCOPE)
endfunction()

# Sets `${result}` to what is wrong with `file` of `room` including `header` (with its <> or ""), or to "".
function(check_include result file header)
  set(${result} "" PARENT_SCOPE)
  string(REGEX REPLACE "/.*" "" room "${file}")
  if(header MATCHES "[<\"]torch/torch\\.h[>\"]")
    set(${result} "includes all of LibTorch; expected the narrow header of what it uses" PARENT_SCOPE)
  elseif(room IN_LIST TORCH_FREE AND header MATCHES "[<\"](torch|ATen|c10)/")
    set(${result} "${room}/ is free of LibTorch" PARENT_SCOPE)
  elseif(header MATCHES "^\"(([^/\"]*)[^\"]*)")
    set(path "${CMAKE_MATCH_1}")
    set(target "${CMAKE_MATCH_2}")
    if(room STREQUAL "pipelines" AND target STREQUAL room)
      pipelines_place(from "${file}")
      pipelines_place(to "${path}")
      if(to GREATER from)
        set(${result} "against the order of the folders in pipelines/: ${PIPELINES}, the jobs, cli" PARENT_SCOPE)
      endif()
    elseif(NOT room IN_LIST ROOMS OR target STREQUAL room)
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
      check_include(violation ${file} "${header}")
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
