#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo {

/// RFC 4648, section 4, padded and on one line.
std::string to_base64(std::span<const std::byte> bytes);

/// The bytes of padded base64 on one line; nothing where it is not that.
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

}  // namespace crescendo
