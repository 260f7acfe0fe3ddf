#include "core/crc32c.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <gtest/gtest.h>

namespace crescendo {
namespace {

std::uint32_t crc_of(std::string_view text) { return crc32c(std::as_bytes(std::span(text))); }

// The vectors of RFC 3720, B.4, and the check value of the CRC catalogues.
TEST(Crc32cTest, IsThatOfTheStandard) {
  std::array<std::byte, 32> bytes{};
  EXPECT_EQ(crc32c(bytes), 0x8A9136AA);
  bytes.fill(std::byte{0xFF});
  EXPECT_EQ(crc32c(bytes), 0x62A8AB43);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46DD794E);
  std::ranges::reverse(bytes);
  EXPECT_EQ(crc32c(bytes), 0x113FDB5C);
  EXPECT_EQ(crc_of("123456789"), 0xE3069283);
  EXPECT_EQ(crc_of(""), 0);
}

TEST(Crc32cTest, GoesOnFromWhatPrecedes) {
  EXPECT_EQ(crc32c(std::as_bytes(std::span(std::string_view("56789"))), crc_of("1234")),
            crc_of("123456789"));
}

}  // namespace
}  // namespace crescendo
