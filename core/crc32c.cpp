#include "core/crc32c.h"

#include <array>

namespace crescendo {

namespace {

/// The remainder of each byte by the polynomial 0x1EDC6F41, bits reversed.
constexpr std::array<std::uint32_t, 256> kRemainders = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82F63B78 : 0);
    }
    table[byte] = remainder;
  }
  return table;
}();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t remainder = ~before;
  for (const std::byte byte : bytes) {
    remainder =
        (remainder >> 8) ^ kRemainders[(remainder ^ static_cast<std::uint8_t>(byte)) & 0xFF];
  }
  return ~remainder;
}

}  // namespace crescendo
