#include "text_encoder/unicode.h"

#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

TEST(UnicodeTest, ControlCharactersAreRemovedButNotLineEnds) {
  EXPECT_EQ(character_class(U'\0'), CharacterClass::kRemoved);
  EXPECT_EQ(character_class(U'\u200D'), CharacterClass::kRemoved);
  EXPECT_EQ(character_class(U'\uFFFD'), CharacterClass::kRemoved);
  EXPECT_EQ(character_class(U'\n'), CharacterClass::kSpace);
  EXPECT_EQ(character_class(U'\t'), CharacterClass::kSpace);
}

TEST(UnicodeTest, AsciiSymbolsArePunctuation) {
  for (const char32_t symbol : U"!$+<=>^`|~") {
    if (symbol != 0) EXPECT_EQ(character_class(symbol), CharacterClass::kPunctuation);
  }
  EXPECT_EQ(character_class(U'€'), CharacterClass::kOther);
}

TEST(UnicodeTest, WhatCameAfterUnicode8HasNoClass) {
  EXPECT_EQ(character_class(U'\u2E42'), CharacterClass::kPunctuation);
  EXPECT_EQ(character_class(U'\u2E43'), CharacterClass::kOther);
}

TEST(UnicodeTest, IdeographsAreToldFromOtherScripts) {
  EXPECT_TRUE(is_cjk_ideograph(U'日'));
  EXPECT_TRUE(is_cjk_ideograph(U'\u4E00'));
  EXPECT_TRUE(is_cjk_ideograph(U'\u9FFF'));
  EXPECT_FALSE(is_cjk_ideograph(U'\u4DFF'));
  EXPECT_FALSE(is_cjk_ideograph(U'の'));
  EXPECT_FALSE(is_cjk_ideograph(U'한'));
}

TEST(UnicodeTest, DecompositionOrdersMarks) {
  EXPECT_EQ(decompose(U"é"), U"e\u0301");
  EXPECT_EQ(decompose(U"가"), U"\u1100\u1161");
  EXPECT_EQ(decompose(U"a\u0301\u0316b\u0301\u0316"), U"a\u0316\u0301b\u0316\u0301");
  EXPECT_EQ(decompose(U"\u1E69"), U"s\u0323\u0307");
}

TEST(UnicodeTest, LowerCaseOfOneCharacterMayBeTwo) {
  std::u32string text;
  for (const char32_t character : std::u32string(U"ÀİΣẞ1")) append_lower_case(text, character);
  EXPECT_EQ(text, U"ài\u0307σß1");
}

}  // namespace
}  // namespace crescendo::text_encoder
