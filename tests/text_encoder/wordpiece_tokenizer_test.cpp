#include "text_encoder/wordpiece_tokenizer.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/random.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

using Ids = std::vector<std::int64_t>;

// Ids: 0 [PAD], 1 [UNK], 2 [CLS], 3 [SEP], 4 un, 5 ##aff, 6 ##able, 7 a, 8 ##a, 9 !, 10 É
constexpr const char* kVocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\na\n##a\n!\nÉ\n";

class WordPieceTokenizerTest : public testing::Test {
 protected:
  void write(const std::string& name, std::string_view content) {
    write_file_atomically(folder_ / name, content);
  }

  Tokens tokenize(const std::vector<std::string>& texts, std::int64_t max_length = 12) {
    return load_tokenizer(folder_.path())->tokenize(texts, max_length);
  }

  /// The ids of one text without [CLS], [SEP] and padding.
  Ids pieces(const std::string& text) {
    const Tokens tokens = tokenize({text}, 300);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    return {tokens.ids.begin() + 1, tokens.ids.begin() + used - 1};
  }

  TemporaryFolder folder_;
};

TEST_F(WordPieceTokenizerTest, TakesTheLongestPieces) {
  write("vocab.txt", kVocab);
  EXPECT_EQ(pieces("Unaffable!"), (Ids{4, 5, 6, 9}));
  EXPECT_EQ(pieces("aaa a"), (Ids{7, 8, 8, 7}));
}

TEST_F(WordPieceTokenizerTest, AWordWithAPieceThatIsNotThereIsUnknown) {
  write("vocab.txt", kVocab);
  EXPECT_EQ(pieces("unaffx a"), (Ids{1, 7}));
}

TEST_F(WordPieceTokenizerTest, AWordOfMoreThanAHundredCharactersIsUnknown) {
  write("vocab.txt", kVocab);
  EXPECT_EQ(pieces(std::string(100, 'a')).size(), 100U);
  EXPECT_EQ(pieces(std::string(101, 'a')), (Ids{1}));
}

TEST_F(WordPieceTokenizerTest, FramesPadsAndCuts) {
  write("vocab.txt", kVocab);
  const Tokens tokens = tokenize({"a", "", "a a a a"}, 5);
  EXPECT_EQ(tokens.count, 3);
  EXPECT_EQ(tokens.length, 5);
  EXPECT_EQ(tokens.ids, (Ids{2, 7, 3, 0, 0, /**/ 2, 3, 0, 0, 0, /**/ 2, 7, 7, 7, 3}));
  EXPECT_EQ(tokens.mask, (Ids{1, 1, 1, 0, 0, /**/ 1, 1, 0, 0, 0, /**/ 1, 1, 1, 1, 1}));
  EXPECT_EQ(tokens.truncated, (std::vector<std::size_t>{2}));
  EXPECT_EQ(tokenize({}).count, 0);
}

TEST_F(WordPieceTokenizerTest, NamesOfSpecialTokensAreThoseTokens) {
  write("vocab.txt", kVocab);
  EXPECT_EQ(pieces("a[SEP]a"), (Ids{7, 3, 7}));
  EXPECT_EQ(pieces("[sep]"), (Ids{1, 1, 1}));
}

TEST_F(WordPieceTokenizerTest, FollowsTokenizerConfig) {
  write("vocab.txt", kVocab);
  write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null,
        "unk_token": {"content": "[UNK]", "special": true}, "never_split": null})");
  EXPECT_EQ(pieces("A"), (Ids{1}));
  EXPECT_EQ(pieces("É"), (Ids{10})) << "accents are kept with the case";
  write("tokenizer_config.json", R"({"do_lower_case": "yes"})");
  EXPECT_NE(error_text([&] {
              pieces("a");
            }).find("tokenizer_config.json: do_lower_case: expected true or false, found \"yes\""),
            std::string::npos);
}

TEST_F(WordPieceTokenizerTest, ReadsWindowsLineEnds) {
  write("vocab.txt", "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na");
  EXPECT_EQ(pieces("a"), (Ids{4}));
}

TEST_F(WordPieceTokenizerTest, ReadsTheVocabularyOfTokenizerJson) {
  write("tokenizer.json", R"({"model": {"type": "WordPiece",
        "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 7}}})");
  EXPECT_EQ(pieces("a b"), (Ids{7, 1}));
  EXPECT_EQ(load_tokenizer(folder_.path())->vocab_size(), 8);
}

TEST_F(WordPieceTokenizerTest, RefusesOtherTokenizerJson) {
  for (const char* content :
       {"[]", "{}", R"({"model": {"type": "Unigram", "vocab": []}})",
        R"({"model": {"type": "BPE", "vocab": {}}})", R"({"model": {"vocab": {"a": -1}}})",
        R"({"model": {"vocab": {"a": 4294967296}}})", R"({"model": {"vocab": {"a": "b"}}})"}) {
    write("tokenizer.json", content);
    EXPECT_NE(data_error_text([&] { pieces("a"); }).find("tokenizer.json: "), std::string::npos)
        << content;
  }
}

TEST_F(WordPieceTokenizerTest, ErrorsNameWhatIsMissing) {
  EXPECT_NE(error_text([&] {
              pieces("a");
            }).find("no tokenizer; expected spiece.model (T5), vocab.json and merges.txt (CLIP)"),
            std::string::npos);
  for (const char* missing : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
    std::string vocab = kVocab;
    vocab.replace(vocab.find(missing), std::string(missing).size(), 1, 'x');
    write("vocab.txt", vocab);
    EXPECT_NE(data_error_text([&] {
                pieces("a");
              }).find(std::string("vocab.txt: the special token '") + missing + "' is missing"),
              std::string::npos);
  }
}

TEST_F(WordPieceTokenizerTest, RefusesALengthWithoutRoomForTheFrame) {
  write("vocab.txt", kVocab);
  EXPECT_EQ(tokenize({"a"}, 2).ids, (Ids{2, 3}));
  EXPECT_EQ(error_text([&] { tokenize({"a"}, 1); }),
            "max_length: no room for the special tokens; expected at least 2, found 1");
  EXPECT_NE(error_text([&] { tokenize({"a"}, -5); }), "");
}

// Whatever the bytes: every id is of the vocabulary, every row has its frame and its length.
TEST_F(WordPieceTokenizerTest, AnyBytesGiveWellFormedTokens) {
  write("vocab.txt", kVocab);
  const auto tokenizer = load_tokenizer(folder_.path());
  for (std::uint64_t i = 0; i < 3000; ++i) {
    RandomStream draw(7, Purpose::kNoise, i);
    std::string bytes(draw.below(60), '\0');
    for (char& byte : bytes) byte = static_cast<char>(draw.below(256));
    const std::vector<std::string> texts = {bytes};
    const Tokens tokens = tokenizer->tokenize(texts, 16);
    ASSERT_EQ(tokens.ids.size(), 16U);
    ASSERT_EQ(tokens.mask.size(), 16U);
    ASSERT_EQ(tokens.ids.front(), 2);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    ASSERT_EQ(tokens.ids[static_cast<std::size_t>(used) - 1], 3);
    for (const std::int64_t id : tokens.ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
  }
}

}  // namespace
}  // namespace crescendo::text_encoder
