#include "text_encoder/clip_tokenizer.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/random.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

using Ids = std::vector<std::int64_t>;

constexpr const char* kVocab = R"({"a": 0, "b": 1, "c": 2, "!": 3, "a</w>": 4, "b</w>": 5,
    "c</w>": 6, "!</w>": 7, "ab": 8, "ab</w>": 9, "abc</w>": 10, "'": 11, "s</w>": 12, "'s</w>": 13,
    "<|startoftext|>": 14, "<|endoftext|>": 15})";
constexpr const char* kMerges = "#version: 0.2\na b\na b</w>\nab c</w>\n' s</w>\n";
constexpr std::int64_t kEnd = 15;  // also of unknown bytes

class ClipTokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    write("vocab.json", kVocab);
    write("merges.txt", kMerges);
  }

  void write(const std::string& name, std::string_view content) {
    write_file_atomically(folder_ / name, content);
  }

  void remove(const std::string& name) { std::filesystem::remove(folder_ / name); }

  Tokens tokenize(const std::vector<std::string>& texts, std::int64_t max_length = 12) {
    return load_tokenizer(folder_.path())->tokenize(texts, max_length);
  }

  /// The ids of one text without the tokens that frame it and the padding.
  Ids pieces(const std::string& text) {
    const Tokens tokens = tokenize({text}, 300);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    return {tokens.ids.begin() + 1, tokens.ids.begin() + used - 1};
  }

  /// The message of the DataError on opening, without the folder.
  std::string load_error() {
    const std::string message = data_error_text([&] { load_tokenizer(folder_.path()); });
    const std::string start = folder_.path().string() + "/";
    return message.starts_with(start) ? message.substr(start.size()) : message;
  }

  TemporaryFolder folder_;
};

TEST_F(ClipTokenizerTest, MergesInTheOrderOfTheList) {
  EXPECT_EQ(pieces("abc"), (Ids{10}));
  EXPECT_EQ(pieces("ab"), (Ids{9}));
  EXPECT_EQ(pieces("aab"), (Ids{0, 9}));
  EXPECT_EQ(pieces("abab"), (Ids{8, 9}));
  EXPECT_EQ(pieces("ababc"), (Ids{8, 10}));
  EXPECT_EQ(pieces("cab!"), (Ids{2, 9, 7}));
}

TEST_F(ClipTokenizerTest, CaseAndWhiteSpaceDoNotMatter) {
  EXPECT_EQ(pieces("ABC  aB\t\n a"), (Ids{10, 9, 4}));
  EXPECT_EQ(pieces(" \u00a0"), Ids());
}

TEST_F(ClipTokenizerTest, BytesThatTheVocabularyLacksAreUnknownOneByOne) {
  EXPECT_EQ(pieces("axa"), (Ids{0, kEnd, 4}));
  EXPECT_EQ(pieces("\u00e9"), (Ids{kEnd, kEnd}));
}

TEST_F(ClipTokenizerTest, EnglishEndingsAreWords) {
  EXPECT_EQ(pieces("a's"), (Ids{4, 13}));
  EXPECT_EQ(pieces("!'a"), (Ids{3, kEnd, 4})) << "the apostrophe is of the word before it";
}

TEST_F(ClipTokenizerTest, FramesPadsAndCuts) {
  const Tokens tokens = tokenize({"a", "", "a b a b"}, 5);
  EXPECT_EQ(tokens.count, 3);
  EXPECT_EQ(tokens.length, 5);
  EXPECT_EQ(tokens.ids, (Ids{14, 4, 15, 15, 15, /**/ 14, 15, 15, 15, 15, /**/ 14, 4, 5, 4, 15}));
  EXPECT_EQ(tokens.mask, (Ids{1, 1, 1, 0, 0, /**/ 1, 1, 0, 0, 0, /**/ 1, 1, 1, 1, 1}));
  EXPECT_EQ(tokens.truncated, (std::vector<std::size_t>{2}));
  EXPECT_EQ(error_text([&] { tokenize({"a"}, 1); }),
            "max_length: no room for the special tokens; expected at least 2, found 1");
}

TEST_F(ClipTokenizerTest, NamesOfSpecialTokensAreThoseTokens) {
  EXPECT_EQ(pieces("a<|endoftext|>b<|startoftext|>"), (Ids{4, 15, 5, 14}));
  EXPECT_NE(pieces("<|EndOfText|>"), (Ids{15})) << "as they are written, if no file says otherwise";
  write("special_tokens_map.json", R"({"eos_token": {"content": "<|endoftext|>", "lstrip": false,
        "normalized": true, "rstrip": false, "single_word": false}, "unk_token": {"content":
        "<|endoftext|>", "normalized": true}, "pad_token": {"content": "<|endoftext|>",
        "normalized": true}})");
  EXPECT_EQ(pieces("a<|EndOfText|>"), (Ids{4, 15}));
}

TEST_F(ClipTokenizerTest, PaddingIsTheConfigs) {
  write("tokenizer_config.json", R"({"pad_token": "!", "bos_token": null})");
  EXPECT_EQ(tokenize({"a"}, 4).ids, (Ids{14, 4, 15, 3}));
  EXPECT_EQ(pieces("a!"), (Ids{4, 3})) << "a special token wherever it stands";
  write("special_tokens_map.json", R"({"pad_token": {"content": "c</w>"}})");
  EXPECT_EQ(tokenize({"a"}, 4).ids, (Ids{14, 4, 15, 6})) << "the map overrides the config";
}

TEST_F(ClipTokenizerTest, KnowsTokensThatWereAdded) {
  write("added_tokens.json", R"({"<My-Cat>": 20})");
  EXPECT_EQ(pieces("a <my-cat>b"), (Ids{4, 20, 5}));
  EXPECT_EQ(load_tokenizer(folder_.path())->vocab_size(), 21);
  write("tokenizer_config.json", R"({"added_tokens_decoder": {
        "16": {"content": "<Dog>", "normalized": false, "special": true},
        "15": {"content": "<|endoftext|>", "normalized": true}}})");
  EXPECT_EQ(pieces("<Dog><|ENDOFTEXT|>"), (Ids{16, 15}));
  EXPECT_NE(pieces("<dog>"), (Ids{16}));
  EXPECT_EQ(load_tokenizer(folder_.path())->vocab_size(), 17) << "the config lists all of them";
}

TEST_F(ClipTokenizerTest, ReadsTokenizerJsonWhereThereIsNoVocabulary) {
  remove("vocab.json");
  const std::string model = std::string(R"({"added_tokens": [{"id": 16, "content": "<New>"}],
      "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": )") +
                            kVocab;
  write("tokenizer.json", model + R"(, "merges": [["a", "b"], "a b</w>", ["ab", "c</w>"]]}})");
  EXPECT_EQ(pieces("abc <New>ab's"), (Ids{10, 16, 9, 11, 12}));
  write("tokenizer.json", model + R"(, "merges": ["a b c"]}})");
  EXPECT_EQ(load_error(), R"(tokenizer.json: merge 1: expected two pieces, found "a b c")");
  write("tokenizer.json", model + R"(, "merges": 5}})");
  EXPECT_EQ(load_error(), "tokenizer.json: merges: expected a list, found number");
  write("tokenizer.json", model + "}}");
  EXPECT_EQ(load_error(), "tokenizer.json: merges: expected a list, found null");
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {}, "merges": []}})");
  EXPECT_EQ(load_error(),
            "tokenizer.json: model: end_of_word_suffix: expected the \"</w>\" of a CLIP "
            "tokenizer, found null");
}

TEST_F(ClipTokenizerTest, ReadsWindowsLineEndsAndNoLastOne) {
  write("merges.txt", "#version: 0.2\r\na b\r\n\r\na b</w>");
  EXPECT_EQ(pieces("abab"), (Ids{8, 9}));
}

TEST_F(ClipTokenizerTest, NamesWhatIsWrongWithTheMerges) {
  for (const char* line : {"ab", "a b c", " a b", "a b "}) {
    write("merges.txt", fmt::format("#version: 0.2\na b\n{}\n", line));
    EXPECT_EQ(load_error(),
              fmt::format("merges.txt: line 3: expected two pieces and a space between, found '{}'",
                          line));
  }
  for (const char* merge : {"x b", "a x", "b c"}) {
    write("merges.txt", fmt::format("a b\n{}\n", merge));
    const std::string message = load_error();
    EXPECT_TRUE(message.starts_with("merges.txt: merge 2: '")) << message;
    EXPECT_TRUE(
        message.ends_with("' is missing from the vocabulary of 16 tokens. Are both files "
                          "of one model?"))
        << message;
  }
}

TEST_F(ClipTokenizerTest, NamesWhatIsWrongWithTheVocabulary) {
  write("vocab.json", "[]");
  EXPECT_EQ(load_error(),
            "vocab.json: expected a JSON object of tokens and their ids, found array");
  write("vocab.json", "{");
  EXPECT_TRUE(load_error().starts_with("vocab.json: not valid JSON at byte "));
  for (const char* id : {"-1", "2147483648", "18446744073709551615", "\"b\"", "1.5"}) {
    write("vocab.json", fmt::format(R"({{"a": {}}})", id));
    EXPECT_EQ(load_error(),
              fmt::format("vocab.json: id of 'a': expected an integer from 0 to 2147483647, "
                          "found {}",
                          id));
  }
  write("vocab.json", R"({"<|startoftext|>": 0})");
  EXPECT_EQ(load_error(),
            "vocab.json: the special token '<|endoftext|>' is missing from the vocabulary of 1 "
            "tokens. Is it the vocabulary of a CLIP model?");
}

TEST_F(ClipTokenizerTest, NamesWhatIsWrongWithTheSpecialTokens) {
  const auto error_of = [&](const std::string& name, const std::string& content) {
    write(name, content);
    const std::string message = load_error();
    remove(name);
    return message;
  };
  EXPECT_EQ(error_of("tokenizer_config.json", "[]"),
            "tokenizer_config.json: expected a JSON object, found array");
  EXPECT_EQ(error_of("tokenizer_config.json", R"({"pad_token": 5})"),
            "tokenizer_config.json: pad_token: expected a token, a string or an object with its "
            "content, found 5");
  EXPECT_EQ(error_of("tokenizer_config.json", R"({"pad_token": "x"})"),
            "vocab.json: the special token 'x' is missing from the vocabulary of 16 tokens. Is it "
            "the vocabulary of a CLIP model?");
  EXPECT_EQ(
      error_of("special_tokens_map.json", R"({"eos_token": {"content": "a", "normalized": 1}})"),
      "special_tokens_map.json: eos_token: normalized: expected true or false, found 1");
  EXPECT_EQ(
      error_of("special_tokens_map.json", R"({"eos_token": {"content": "a", "lstrip": true}})"),
      "special_tokens_map.json: eos_token: lstrip: only false is supported, found true");
  EXPECT_EQ(error_of("tokenizer_config.json", R"({"added_tokens_decoder": []})"),
            "tokenizer_config.json: added_tokens_decoder: expected a JSON object, found array");
  EXPECT_EQ(
      error_of("tokenizer_config.json", R"({"added_tokens_decoder": {"9x": {"content": "a"}}})"),
      "tokenizer_config.json: id of 'a': expected an integer from 0 to 2147483647, found -1");
  EXPECT_EQ(error_of("added_tokens.json", R"({"a": -2})"),
            "added_tokens.json: id of 'a': expected an integer from 0 to 2147483647, found -2");
  EXPECT_EQ(error_of("tokenizer.json", R"({"added_tokens": {}})"),
            "tokenizer.json: added_tokens: expected a list, found object");
  EXPECT_EQ(error_of("tokenizer.json", R"({"added_tokens": [{"content": "a"}]})"),
            "tokenizer.json: id of 'a': expected an integer from 0 to 2147483647, found -1");
}

TEST_F(ClipTokenizerTest, AVocabularyWithoutMergesIsNoTokenizer) {
  remove("merges.txt");
  EXPECT_NE(error_text([&] {
              load_tokenizer(folder_.path());
            }).find("no tokenizer; expected spiece.model (T5), vocab.json and merges.txt (CLIP)"),
            std::string::npos);
}

// To search all pairs for each merge would take hours on a word of this length.
TEST_F(ClipTokenizerTest, LongWordsTakeNoQuadraticTime) {
  std::string word;
  for (int i = 0; i < 200000; ++i) word += "ab";
  const Tokens tokens = tokenize({word}, 200002);
  EXPECT_EQ(tokens.ids[1], 8);
  EXPECT_EQ(tokens.ids[200000], 9);
  EXPECT_TRUE(tokens.truncated.empty());
}

// Whatever the bytes: every id is of the vocabulary, every row has its frame and its length.
TEST_F(ClipTokenizerTest, AnyBytesGiveWellFormedTokens) {
  write("tokenizer_config.json", R"({"pad_token": "!"})");
  const auto tokenizer = load_tokenizer(folder_.path());
  for (std::uint64_t i = 0; i < 3000; ++i) {
    RandomStream draw(7, Purpose::kNoise, i);
    std::string bytes(draw.below(60), '\0');
    for (char& byte : bytes) byte = static_cast<char>(draw.below(i % 2 == 0 ? 256 : 128));
    const std::vector<std::string> texts = {bytes};
    const Tokens tokens = tokenizer->tokenize(texts, 16);
    ASSERT_EQ(tokens.ids.size(), 16U);
    ASSERT_EQ(tokens.mask.size(), 16U);
    ASSERT_EQ(tokens.ids.front(), 14);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    ASSERT_EQ(tokens.ids[static_cast<std::size_t>(used) - 1], kEnd);
    for (const std::int64_t id : tokens.ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
  }
}

}  // namespace
}  // namespace crescendo::text_encoder
