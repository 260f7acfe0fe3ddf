#include "core/base64.h"

#include <array>

#include <gtest/gtest.h>

namespace crescendo {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// RFC 4648, section 10.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kVectors = {{
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
}};

TEST(Base64Test, EncodesAndDecodesThePublishedVectors) {
  for (const auto& [plain, text] : kVectors) {
    EXPECT_EQ(to_base64(bytes_of(plain)), text);
    const auto decoded = from_base64(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_TRUE(std::ranges::equal(*decoded, bytes_of(plain))) << text;
  }
}

TEST(Base64Test, EveryByteComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_TRUE(std::ranges::equal(*from_base64(to_base64(bytes_of(all))), bytes_of(all)));
}

TEST(Base64Test, RefusesWhatIsNoBase64) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg=a", "Z===", "====", "Zm9v\n", "Zm 9v", "Zm9-",
                           "=Zg=", "Zg==Zg==", "\xff\xff\xff\xff"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

}  // namespace
}  // namespace crescendo
