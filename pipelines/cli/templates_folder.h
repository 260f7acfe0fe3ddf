#pragma once

#include <filesystem>

namespace crescendo::cli {

/// configs/ of the clone that build/crescendo lies in, or of the installation: where the folders
/// are whose configurations single files are opened with.
std::filesystem::path templates_folder();

}  // namespace crescendo::cli
