#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace crescendo {

/// The CRC-32C (Castagnoli, RFC 3720 B.4) of `bytes`; `before` is that of what precedes them.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace crescendo
