#include "text_encoder/utf8.h"

#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

std::string encode(const std::u32string& characters) {
  std::string text;
  for (const char32_t character : characters) append_utf8(text, character);
  return text;
}

TEST(Utf8Test, DecodesEachLength) {
  EXPECT_EQ(decode_utf8("a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x99\x82"), U"aé日🙂");
}

TEST(Utf8Test, EncodingIsTheInverseForEveryCharacter) {
  for (char32_t character = 0; character < 0x110000; ++character) {
    if (character >= 0xD800 && character < 0xE000) continue;
    ASSERT_EQ(decode_utf8(encode({character})), std::u32string(1, character));
  }
}

// The cases of Python's bytes.decode("utf-8", errors="replace").
TEST(Utf8Test, EachIllFormedPartBecomesOneReplacement) {
  EXPECT_EQ(decode_utf8("a\xFFz"), U"a\uFFFDz");
  EXPECT_EQ(decode_utf8("\x80\x80"), U"\uFFFD\uFFFD");
  EXPECT_EQ(decode_utf8("\xE6\x97z"), U"\uFFFDz") << "cut short";
  EXPECT_EQ(decode_utf8("\xE6\x97"), U"\uFFFD") << "cut short by the end";
  EXPECT_EQ(decode_utf8("\xF0\x9F\x99"), U"\uFFFD");
  EXPECT_EQ(decode_utf8("\xC0\xAF"), U"\uFFFD\uFFFD") << "overlong";
  EXPECT_EQ(decode_utf8("\xE0\x80\xAF"), U"\uFFFD\uFFFD\uFFFD") << "overlong";
  EXPECT_EQ(decode_utf8("\xED\xA0\x80"), U"\uFFFD\uFFFD\uFFFD") << "surrogate";
  EXPECT_EQ(decode_utf8("\xF4\x90\x80\x80"), U"\uFFFD\uFFFD\uFFFD\uFFFD") << "past the end";
  EXPECT_EQ(decode_utf8("\xE6\xE6\x97\xA5"), U"\uFFFD日") << "begins anew";
}

}  // namespace
}  // namespace crescendo::text_encoder
