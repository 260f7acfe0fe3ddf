# `cmake --install`: the binary with its templates, the static libraries and their headers, and a package file for find_package(crescendo).
include(CMakePackageConfigHelpers)

get_property(_libraries GLOBAL PROPERTY CRESCENDO_LIBRARIES)
if(TARGET crescendo)
  # Installing strips the build's RPATH, and the loader does not know LibTorch's folder.
  cmake_path(GET LibTorch_CPU_LIBRARY PARENT_PATH _libtorch_folder)
  set_target_properties(crescendo PROPERTIES INSTALL_RPATH ${_libtorch_folder})
  install(TARGETS crescendo RUNTIME)
  # What `crescendo convert` looks for beside the binary; the README has the licence of the vocabulary.
  install(DIRECTORY configs/stable-diffusion-v1-5 configs/stable-diffusion-2-1 configs/stable-diffusion-2-1-base
    DESTINATION ${CMAKE_INSTALL_DATADIR}/crescendo/configs)
  install(FILES configs/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/crescendo/configs)
endif()
install(TARGETS ${_libraries} EXPORT crescendoTargets ARCHIVE)
install(EXPORT crescendoTargets NAMESPACE crescendo:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crescendo)
foreach(folder core curriculum dataloader diffusion vae text_encoder unet pipelines)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/crescendo FILES_MATCHING PATTERN "*.h")
endforeach()
configure_package_config_file(cmake/crescendoConfig.cmake.in ${CMAKE_BINARY_DIR}/crescendoConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crescendo)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/crescendoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/crescendoConfig.cmake ${CMAKE_BINARY_DIR}/crescendoConfigVersion.cmake cmake/FindLibTorch.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crescendo)
