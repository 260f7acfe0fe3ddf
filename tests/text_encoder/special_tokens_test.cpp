#include "text_encoder/special_tokens.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

const std::vector<SpecialToken> kTokens = {{"<x", 1}, {"<x>", 2}, {"[SEP]", 3}};

/// "text|#id|text"
std::string split(std::string_view text) {
  std::string joined;
  for (const Section& section : split_at_special_tokens(text, kTokens)) {
    if (!joined.empty()) joined += '|';
    joined += section.special ? fmt::format("#{}", *section.special) : std::string(section.text);
  }
  return joined;
}

TEST(SpecialTokensTest, CutsTextAtEachToken) {
  EXPECT_EQ(split("a[SEP]b [SEP]"), "a|#3|b |#3");
  EXPECT_EQ(split("[SEP][SEP]"), "#3|#3");
  EXPECT_EQ(split("nothing [sep]"), "nothing [sep]");
  EXPECT_EQ(split(""), "");
}

TEST(SpecialTokensTest, TakesTheLongest) { EXPECT_EQ(split("<x><xy"), "#2|#1|y"); }

}  // namespace
}  // namespace crescendo::text_encoder
