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
    if (symbol == 0) continue;  // the end of the string
    EXPECT_EQ(character_class(symbol), CharacterClass::kPunctuation);
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

TEST(UnicodeTest, ComposesWhatItDecomposes) {
  EXPECT_EQ(compose(U"e\u0301\u0316"), U"é\u0316");
  EXPECT_EQ(compose(U"\u1100\u1161\u11A8"), U"각");
  EXPECT_EQ(compose(U"가\u11A7\u11A8"), U"가\u11A7\u11A8");
  EXPECT_EQ(compose(U"\u0958\u212B"), U"\u0915\u093CÅ");
  EXPECT_EQ(compose(U""), U"");
}

// Marks of Unicode 14 and 13 and a letter of 13, with which those of 13 compose.
TEST(UnicodeTest, WhatCameAfterUnicode9IsNotNormalised) {
  const std::u32string marks = U"a\u08CA\u08D3\u0316 a\u1ABF\u0316";
  EXPECT_EQ(decompose(marks), marks);
  EXPECT_EQ(compose(marks), marks);
  EXPECT_EQ(decompose(U"\U00011938"), U"\U00011938");
  EXPECT_EQ(compose(U"\U00011935\U00011930"), U"\U00011935\U00011930");
  EXPECT_EQ(compose(U"e\u1ABF\u0301"), U"e\u1ABF\u0301") << "blocked";
  EXPECT_EQ(decompose(U"\u0301\u08E3"), U"\u08E3\u0301") << "of Unicode 8";
}

TEST(UnicodeTest, ClassesOfWords) {
  for (const char32_t space : std::u32string(U"\t\v\r \u0085\u00A0\u2028\u3000")) {
    EXPECT_EQ(word_class(space), WordClass::kSpace);
  }
  EXPECT_EQ(word_class(U'é'), WordClass::kLetter);
  EXPECT_EQ(word_class(U'日'), WordClass::kLetter);
  EXPECT_EQ(word_class(U'½'), WordClass::kNumber);
  EXPECT_EQ(word_class(U'\u0301'), WordClass::kOther);
  EXPECT_EQ(word_class(U'\u200B'), WordClass::kOther);
  EXPECT_EQ(word_class(U'\uA7CB'), WordClass::kLetter) << "of Unicode 16";
  EXPECT_EQ(word_class(U'\U0001E5F1'), WordClass::kNumber);
}

TEST(UnicodeTest, LowerCaseOfOneCharacterMayBeTwo) {
  std::u32string text;
  for (const char32_t character : std::u32string(U"ÀİΣẞ1\uA7CB\U00010D51"))
    append_lower_case(text, character);
  EXPECT_EQ(text, U"ài\u0307σß1\u0264\U00010D71");
}

}  // namespace
}  // namespace crescendo::text_encoder
