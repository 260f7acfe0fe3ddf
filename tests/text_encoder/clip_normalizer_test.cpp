#include "text_encoder/clip_normalizer.h"

#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

using Words = std::vector<std::string>;

TEST(ClipNormalizerTest, ComposesAndLowersAndMakesOneSpace) {
  EXPECT_EQ(clip_normalize("CAFE\u0301"), "caf\u00e9");
  EXPECT_EQ(clip_normalize(" a \t\n\u3000\u0085b "), " a b ");
  EXPECT_EQ(clip_normalize("\u0130\u03a3"), "i\u0307\u03c3");
  EXPECT_EQ(clip_normalize("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(clip_normalize("a\xff"), "a\uFFFD");
  EXPECT_EQ(clip_normalize(""), "");
}

TEST(ClipNormalizerTest, CutsByClass) {
  EXPECT_EQ(clip_words("red cat, 12 x!?"), (Words{"red", "cat", ",", "1", "2", "x", "!?"}));
  EXPECT_EQ(clip_words("a_b\u0301c"), (Words{"a", "_", "b", "\u0301", "c"}));
  EXPECT_EQ(clip_words("\u65e5\u672c\u2167\u00bd"), (Words{"\u65e5\u672c", "\u2167", "\u00bd"}));
  EXPECT_EQ(clip_words("  "), Words());
}

TEST(ClipNormalizerTest, EndingsAreWordsWhereAWordBegins) {
  EXPECT_EQ(clip_words("don't we'll i'm it's i've he'd we're"),
            (Words{"don", "'t", "we", "'ll", "i", "'m", "it", "'s", "i", "'ve", "he", "'d", "we",
                   "'re"}));
  EXPECT_EQ(clip_words("'sand"), (Words{"'s", "and"}));
  EXPECT_EQ(clip_words("!'s"), (Words{"!'", "s"}));
  EXPECT_EQ(clip_words("'x"), (Words{"'", "x"}));
}

TEST(ClipNormalizerTest, NamesOfSpecialTokensAreThreeWords) {
  EXPECT_EQ(clip_words("<|endoftext|>!!"), (Words{"<|", "endoftext", "|>", "!!"}));
  EXPECT_EQ(clip_words("<|startoftext|>a"), (Words{"<|", "startoftext", "|>", "a"}));
  EXPECT_EQ(clip_words("<|other|>!!"), (Words{"<|", "other", "|>!!"}));
}

}  // namespace
}  // namespace crescendo::text_encoder
