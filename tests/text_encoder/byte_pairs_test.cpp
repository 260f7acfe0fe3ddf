#include "text_encoder/byte_pairs.h"

#include <set>

#include <gtest/gtest.h>

namespace crescendo::text_encoder {
namespace {

using Ids = std::vector<std::int64_t>;

TEST(BytePairsTest, EveryByteHasASymbolOfItsOwn) {
  EXPECT_EQ(byte_symbol('a'), "a");
  EXPECT_EQ(byte_symbol(0x00), "\u0100");
  EXPECT_EQ(byte_symbol(' '), "\u0120");
  EXPECT_EQ(byte_symbol(0x7F), "\u0121");
  EXPECT_EQ(byte_symbol(0xA0), "\u0142");
  EXPECT_EQ(byte_symbol(0xAD), "\u0143");
  EXPECT_EQ(byte_symbol(0xFF), "\u00FF");
  std::set<std::string> symbols;
  for (int byte = 0; byte < 256; ++byte)
    symbols.insert(byte_symbol(static_cast<std::uint8_t>(byte)));
  EXPECT_EQ(symbols.size(), 256U);
}

TEST(BytePairsTest, TheLeftmostOfTheFirstPairGoesFirst) {
  const Vocabulary vocabulary = {{"a", 0}, {"a</w>", 1}, {"aa", 2}, {"aa</w>", 3}, {"aaaa</w>", 4}};
  const BytePairs pairs(vocabulary, {{"a", "a"}, {"a", "a</w>"}, {"aa", "aa</w>"}}, 9,
                        "merges.txt");
  const auto ids_of = [&](std::string_view word) {
    Ids ids;
    pairs.append_ids(word, ids);
    return ids;
  };
  EXPECT_EQ(ids_of(""), Ids());
  EXPECT_EQ(ids_of("a"), (Ids{1}));
  EXPECT_EQ(ids_of("aaa"), (Ids{2, 1}));
  EXPECT_EQ(ids_of("aaaa"), (Ids{4})) << "aa, then aa</w>, then both";
  EXPECT_EQ(ids_of("aaaaa"), (Ids{2, 2, 1}));
  EXPECT_EQ(ids_of("aba"), (Ids{0, 9, 1}));
}

}  // namespace
}  // namespace crescendo::text_encoder
