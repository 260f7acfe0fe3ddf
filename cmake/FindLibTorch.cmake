# Finds LibTorch without its own package file, which demands a CUDA toolkit for CUDA builds.
# Looks, in this order, in CMAKE_PREFIX_PATH (an unpacked LibTorch), the Python `torch` that `python3`
# imports, and the folder that scripts/setup fills (.deps/python). Defines LibTorch::LibTorch, which
# links libtorch_cpu and libc10 only: CUDA is loaded at run time (core/device.h).

set(LibTorch_MINIMUM 2.6)

find_program(LibTorch_PYTHON NAMES python3 python)
set(_libtorch_hints "")
if(LibTorch_PYTHON)
  execute_process(
    COMMAND ${LibTorch_PYTHON} -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE _libtorch_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND _libtorch_hints ${_libtorch_python})
endif()
list(APPEND _libtorch_hints ${PROJECT_SOURCE_DIR}/.deps/python/torch)

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/types.h PATH_SUFFIXES include HINTS ${_libtorch_hints})
get_filename_component(_libtorch_root "${LibTorch_INCLUDE_DIR}" DIRECTORY)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${_libtorch_root}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${_libtorch_root}/lib NO_DEFAULT_PATH)

set(LibTorch_VERSION "")
foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
  if(NOT LibTorch_VERSION AND EXISTS ${LibTorch_INCLUDE_DIR}/${_header})
    file(READ ${LibTorch_INCLUDE_DIR}/${_header} _version_text)
    if(_version_text MATCHES "TORCH_VERSION_MAJOR ([0-9]+).*TORCH_VERSION_MINOR ([0-9]+).*TORCH_VERSION_PATCH ([0-9]+)")
      set(LibTorch_VERSION ${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3})
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Run scripts/setup, which fetches it, or pass -DCMAKE_PREFIX_PATH=/path/to/libtorch.")

if(LibTorch_FOUND AND LibTorch_VERSION VERSION_LESS LibTorch_MINIMUM)
  message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} in ${_libtorch_root} is too old; expected at least ${LibTorch_MINIMUM}")
endif()

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::C10 SHARED IMPORTED)
  set_target_properties(LibTorch::C10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})
  add_library(LibTorch::LibTorch SHARED IMPORTED)
  # -idirafter: the wheel's include folder also holds fmt and protobuf, which must not hide the system's.
  set_target_properties(LibTorch::LibTorch PROPERTIES
    IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
    INTERFACE_LINK_LIBRARIES "LibTorch::C10;Threads::Threads"
    INTERFACE_COMPILE_DEFINITIONS "_GLIBCXX_USE_CXX11_ABI=1"
    INTERFACE_COMPILE_OPTIONS
      "SHELL:-idirafter ${LibTorch_INCLUDE_DIR};SHELL:-idirafter ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    # The wheel's libtorch_cpu finds the CUDA runtime through its own RPATH, which the linker does not read.
    INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined;-Wl,--unresolved-symbols=ignore-in-shared-libs")
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_PYTHON)
