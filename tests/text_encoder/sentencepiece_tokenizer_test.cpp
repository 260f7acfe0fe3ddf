#include "text_encoder/sentencepiece_tokenizer.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/random.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

using Ids = std::vector<std::int64_t>;

/// The tiny model of the parity fixtures: <pad> 0, </s> 1, <unk> 2, then pieces.
const std::filesystem::path kModel =
    CRESCENDO_SOURCE_DIR "/tests/parity/fixtures/text_encoder/t5_v1_0/spiece.model";

class SentencePieceTokenizerTest : public testing::Test {
 protected:
  SentencePieceTokenizerTest() { std::filesystem::copy(kModel, folder_ / "spiece.model"); }

  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(folder_.path()); }

  Ids ids(const std::string& text) const {
    const std::vector<std::string> texts = {text};
    const Tokens tokens = load()->tokenize(texts, 64);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    return {tokens.ids.begin(), tokens.ids.begin() + used};
  }

  TemporaryFolder folder_;
};

TEST_F(SentencePieceTokenizerTest, EndsEachPromptAndPads) {
  const std::vector<std::string> texts = {"", "cat cat cat cat cat cat cat"};
  const Tokens tokens = load()->tokenize(texts, 4);
  EXPECT_EQ((Ids{tokens.ids.begin(), tokens.ids.begin() + 4}), (Ids{1, 0, 0, 0}));
  EXPECT_EQ((Ids{tokens.mask.begin(), tokens.mask.begin() + 4}), (Ids{1, 0, 0, 0}));
  EXPECT_EQ(tokens.ids.back(), 1);
  EXPECT_EQ(tokens.truncated, (std::vector<std::size_t>{1}));
}

TEST_F(SentencePieceTokenizerTest, SentinelsCountDownFromTheEnd) {
  const std::int64_t size = load()->vocab_size();
  EXPECT_EQ(ids("<extra_id_0></s><extra_id_99>"), (Ids{size - 1, 1, size - 100, 1}));
  write_file_atomically(folder_ / "tokenizer_config.json", R"({"extra_ids": 0})");
  EXPECT_EQ(load()->vocab_size(), size - 100);
  EXPECT_GT(ids("<extra_id_0>").size(), 2U) << "plain text now";
}

TEST_F(SentencePieceTokenizerTest, NextLineIsASpace) { EXPECT_EQ(ids("a\u0085b"), ids("a b")); }

TEST_F(SentencePieceTokenizerTest, IllFormedBytesAreOneUnknown) {
  EXPECT_EQ(ids("\xE6\x97"), ids("\uFFFD"));
}

TEST_F(SentencePieceTokenizerTest, RefusesABrokenModel) {
  const std::string whole = read_file(kModel);
  for (const std::string& content : {std::string("not a model"), whole.substr(0, 1000),
                                     std::string(), std::string(64, '\xFF')}) {
    write_file_atomically(folder_ / "spiece.model", content);
    EXPECT_NE(data_error_text([&] { load(); }).find("spiece.model: "), std::string::npos);
  }
}

TEST_F(SentencePieceTokenizerTest, RefusesAnImpossibleNumberOfSentinels) {
  write_file_atomically(folder_ / "tokenizer_config.json", R"({"extra_ids": 1000000000000})");
  EXPECT_NE(data_error_text([&] { load(); }).find("extra_ids: expected 0 to 10000"),
            std::string::npos);
}

TEST_F(SentencePieceTokenizerTest, AnyBytesGiveWellFormedTokens) {
  const auto tokenizer = load();
  for (std::uint64_t i = 0; i < 3000; ++i) {
    RandomStream draw(11, Purpose::kNoise, i);
    std::string bytes(draw.below(60), '\0');
    for (char& byte : bytes) byte = static_cast<char>(draw.below(256));
    const std::vector<std::string> texts = {bytes};
    const Tokens tokens = tokenizer->tokenize(texts, 16);
    ASSERT_EQ(tokens.ids.size(), 16U);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    ASSERT_EQ(tokens.ids[static_cast<std::size_t>(used) - 1], 1);
    for (const std::int64_t id : tokens.ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
  }
}

}  // namespace
}  // namespace crescendo::text_encoder
