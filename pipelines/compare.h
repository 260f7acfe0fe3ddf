#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace crescendo::pipelines {

struct CompareRequest {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path page;  ///< HTML to write; empty: none
  std::filesystem::path json;  ///< to write; empty: none
};

/// Compares runs by their held-out losses; returns a line an arm. Throws UserError.
std::string compare(const CompareRequest& request);

}  // namespace crescendo::pipelines
