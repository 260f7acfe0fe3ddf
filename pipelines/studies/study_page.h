#pragma once

#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// A whole HTML page around `body`, which is taken as it is; it needs no other file.
std::string study_page(std::string_view title, const std::string& body);

}  // namespace crescendo::pipelines
