#include "text_encoder/bert_normalizer.h"

#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

using Words = std::vector<std::u32string>;

TEST(BertNormalizerTest, SplitsAtSpacesAndAroundPunctuation) {
  EXPECT_EQ(bert_words(" Don't\tstop!\n", {}), (Words{U"don", U"'", U"t", U"stop", U"!"}));
  EXPECT_EQ(bert_words("", {}), Words{});
  EXPECT_EQ(bert_words("...", {}), (Words{U".", U".", U"."}));
}

TEST(BertNormalizerTest, IdeographsAreWords) {
  EXPECT_EQ(bert_words("a日本b", {}), (Words{U"a", U"日", U"本", U"b"}));
  EXPECT_EQ(bert_words("a日本b", {.tokenize_chinese_chars = false}), (Words{U"a日本b"}));
}

TEST(BertNormalizerTest, CaseAndAccentsAreIndependent) {
  EXPECT_EQ(bert_words("É", {}), (Words{U"e"}));
  EXPECT_EQ(bert_words("É", {.do_lower_case = false}), (Words{U"E"}));
  EXPECT_EQ(bert_words("É", {.strip_accents = false}), (Words{U"é"}));
  EXPECT_EQ(bert_words("É", {.do_lower_case = false, .strip_accents = false}), (Words{U"É"}));
}

TEST(BertNormalizerTest, RemovesControlCharactersAndIllFormedBytes) {
  EXPECT_EQ(bert_words(std::string_view("a\0b\x01\xFF\u200Bc", 9), {}), (Words{U"abc"}));
}

}  // namespace
}  // namespace crescendo::text_encoder
