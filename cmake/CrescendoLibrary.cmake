# crescendo_library(NAME [TORCH] SOURCES a.cpp ... [PUBLIC targets ...] [PRIVATE targets ...])
# One library a folder: target crescendo_NAME, alias crescendo::NAME, headers beside the sources and
# included from the repository root ("unet/attention.h"). TORCH links LibTorch and shares one
# precompiled header, because a single narrow torch header costs seconds in every file.

add_library(crescendo_warnings INTERFACE)
target_compile_options(crescendo_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion $<$<BOOL:${CRESCENDO_WERROR}>:-Werror>)

option(CRESCENDO_PCH "Share a precompiled header of LibTorch's headers" ON)

function(crescendo_library NAME)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  set(target crescendo_${NAME})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(crescendo::${NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${NAME} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/crescendo>)
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE $<BUILD_INTERFACE:crescendo_warnings> ${ARG_PRIVATE})
  set_property(GLOBAL APPEND PROPERTY CRESCENDO_LIBRARIES ${target})
  if(ARG_TORCH)
    crescendo_use_torch(${target})
  endif()
endfunction()

# Links LibTorch and, unless switched off, takes the shared precompiled header.
function(crescendo_use_torch target)
  target_link_libraries(${target} PUBLIC LibTorch::LibTorch)
  # Executables too, where POSITION_INDEPENDENT_CODE would mean -fPIE and GCC refuse the header below.
  target_compile_options(${target} PRIVATE -fPIC)
  if(CRESCENDO_PCH)
    if(NOT TARGET crescendo_torch_pch)
      # Not file(WRITE), which would touch it, and with it every user of the header, at each configuring.
      file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/torch_pch.cpp CONTENT "")
      add_library(crescendo_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cpp)
      # The flags too: GCC refuses a header that was compiled without the -Wpedantic of its user.
      target_link_libraries(crescendo_torch_pch PRIVATE LibTorch::LibTorch crescendo_warnings)
      set_target_properties(crescendo_torch_pch PROPERTIES POSITION_INDEPENDENT_CODE ON)
      # No more than is used widely: templates that a header leaves to the end of a file are instantiated in each again.
      target_precompile_headers(crescendo_torch_pch PRIVATE
        <ATen/ATen.h> <torch/nn/module.h> <torch/nn/modules/container/modulelist.h>
        <torch/nn/modules/container/sequential.h> <torch/nn/modules/conv.h> <torch/nn/modules/embedding.h>
        <torch/nn/modules/linear.h> <torch/nn/modules/normalization.h>)
    endif()
    target_precompile_headers(${target} REUSE_FROM crescendo_torch_pch)
  endif()
endfunction()

# Compiles SOURCES into library NAME once for each instruction set, into the namespace CRESCENDO_ISA (core/simd.h);
# the program chooses by what its CPU has (core/cpu_kernels.h). CRESCENDO_CPU_KERNELS tells that they are there.
function(crescendo_kernels NAME)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    return()
  endif()
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mfma)
  foreach(isa avx2 avx512)
    set(target crescendo_${NAME}_${isa})
    add_library(${target} OBJECT ${ARGN})
    target_compile_features(${target} PRIVATE cxx_std_20)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_definitions(${target} PRIVATE CRESCENDO_ISA=${isa})
    # The standard's mode would forbid a fused multiplication and addition.
    target_compile_options(${target} PRIVATE -O3 -ffp-contract=fast ${flags_${isa}})
    target_link_libraries(${target} PRIVATE crescendo_warnings)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_sources(crescendo_${NAME} PRIVATE $<TARGET_OBJECTS:${target}>)
  endforeach()
  target_compile_definitions(crescendo_${NAME} PRIVATE CRESCENDO_CPU_KERNELS)
endfunction()
