#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// Text as it stands in an element or in an attribute's quotes.
std::string escape_html(std::string_view text);

/// 1234567 as "1,234,567".
std::string with_thousands(std::int64_t value);

}  // namespace crescendo::pipelines
