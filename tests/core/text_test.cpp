#include "core/text.h"

#include <vector>

#include <gtest/gtest.h>

namespace crescendo {

namespace {

TEST(NearestNameTest, FindsWhatWasMeant) {
  const std::vector<std::string> names = {"learning_rate", "lr_scheduler", "train_batch_size",
                                          "ema"};
  EXPECT_EQ(nearest_name("learning_rat", names), "learning_rate");
  EXPECT_EQ(nearest_name("leraning_rate", names), "learning_rate");
  EXPECT_EQ(nearest_name("batch_size", names), "");
  EXPECT_EQ(nearest_name("train_batchsize", names), "train_batch_size");
  EXPECT_EQ(nearest_name("em", names), "ema");
}

TEST(NearestNameTest, SaysNothingWhenNothingIsNear) {
  const std::vector<std::string> names = {"learning_rate"};
  EXPECT_EQ(nearest_name("colour", names), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

TEST(IsUtf8Test, AcceptsWellFormed) {
  for (const char* text :
       {"", "plain", "\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
        "pi\xC3\xB1"
        "ata \xF0\x9F\x98\x80"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8(std::string_view("\0", 1)));
}

TEST(IsUtf8Test, RejectsMalformed) {
  for (const char* text :
       {"\x80", "\xBF", "a\xFF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2 ", "\xE0\x9F\xBF",
        "\xE2\x82", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(TrimTest, DropsSpaceAtBothEnds) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(SuggestNameTest, NamesTheNearestOrAll) {
  const std::vector<std::string> known = {"train", "pack"};
  EXPECT_EQ(suggest_name("trian", known), "did you mean 'train'?");
  EXPECT_EQ(suggest_name("serve-model", known), "expected one of train, pack");
}

}  // namespace

}  // namespace crescendo
