#include "pipelines/cli/templates_folder.h"

namespace crescendo::cli {

std::filesystem::path templates_folder() {
  namespace fs = std::filesystem;
  const fs::path prefix = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  const fs::path installed = prefix / "share" / "crescendo" / "configs";
  return fs::exists(installed) ? installed : prefix / "configs";
}

}  // namespace crescendo::cli
