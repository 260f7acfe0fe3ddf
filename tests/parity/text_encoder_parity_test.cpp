#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/fields.h"
#include "core/tensor_io.h"
#include "tests/parity/fixtures.h"
#include "tests/parity/training_parity.h"
#include "text_encoder/bert.h"
#include "text_encoder/clip.h"
#include "text_encoder/t5.h"
#include "text_encoder/text_encoder.h"
#include "text_encoder/unicode.h"

namespace crescendo::text_encoder {
namespace {

std::filesystem::path fixtures() { return parity_fixtures() / "text_encoder"; }

class TokenizerParityTest : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerParityTest, IdsEqualTheReferencesForOddStrings) {
  const auto folder = fixtures() / GetParam();
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(folder);
  const auto rows = read_json_file(folder / "ids.json");
  ASSERT_GT(rows.size(), 200U);
  int differences = 0;
  const auto expect_ids = [&](const nlohmann::json& row, const std::vector<std::int64_t>& found,
                              const char* key) {
    const auto expected = row.at(key).get<std::vector<std::int64_t>>();
    if (found != expected && ++differences <= 5) {
      EXPECT_EQ(found, expected) << key << " of " << row.dump(-1, ' ', true).substr(0, 1000);
    }
  };
  for (const auto& row : rows) {
    const std::vector<std::string> texts = {row.contains("text") ? row.at("text").get<std::string>()
                                                                 : from_hex(row.at("bytes"))};
    // With room for one token too many.
    Tokens tokens = tokenizer->tokenize(texts, std::ssize(row.at("ids")) + 1);
    const auto used = std::count(tokens.mask.begin(), tokens.mask.end(), 1);
    tokens.ids.resize(static_cast<std::size_t>(used));
    expect_ids(row, tokens.ids, "ids");
    if (row.contains("padded")) expect_ids(row, tokenizer->tokenize(texts, 77).ids, "padded");
  }
  EXPECT_EQ(differences, 0) << "of " << rows.size() << " strings";
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, TokenizerParityTest,
                         testing::Values("bert_uncased", "bert_cased", "bert_plain",
                                         "clip_published", "clip_saved", "t5_v1_0", "t5_v1_1"));

constexpr char32_t kEndOfUnicode = 0x110000;

/// Compares the classes of all characters with the runs of a fixture, [first, class] each.
template <typename ClassOf>
void expect_classes(const char* file, ClassOf class_of) {
  const auto runs = read_json_file(fixtures() / file);
  std::vector<char32_t> different;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const char32_t end = i + 1 < runs.size() ? runs[i + 1][0].get<char32_t>() : kEndOfUnicode;
    for (char32_t character = runs[i][0].get<char32_t>(); character < end; ++character) {
      const bool is_surrogate = character >= 0xD800 && character < 0xE000;
      if (!is_surrogate && class_of(character) != runs[i][1]) different.push_back(character);
    }
  }
  EXPECT_TRUE(different.empty()) << different.size() << " from U+" << std::hex
                                 << static_cast<std::uint32_t>(different.front());
}

TEST(UnicodeParityTest, ClassOfEveryCharacterIsTheReferences) {
  const std::map<CharacterClass, std::string> names = {
      {CharacterClass::kOther, "other"},
      {CharacterClass::kRemoved, "removed"},
      {CharacterClass::kSpace, "space"},
      {CharacterClass::kPunctuation, "punctuation"},
      {CharacterClass::kNonspacingMark, "mark"}};
  expect_classes("character_classes.json",
                 [&](char32_t character) { return names.at(character_class(character)); });
}

TEST(UnicodeParityTest, WordClassOfEveryCharacterIsTheReferences) {
  const std::map<WordClass, std::string> names = {{WordClass::kSpace, "space"},
                                                  {WordClass::kLetter, "letter"},
                                                  {WordClass::kNumber, "number"},
                                                  {WordClass::kOther, "other"}};
  expect_classes("word_classes.json",
                 [&](char32_t character) { return names.at(word_class(character)); });
}

TEST(UnicodeParityTest, LowerCaseOfEveryCharacterIsTheReferences) {
  std::map<char32_t, std::u32string> lowered;
  for (const auto& row : read_json_file(fixtures() / "lower_case.json")) {
    for (std::size_t i = 1; i < row.size(); ++i) {
      lowered[row[0].get<char32_t>()].push_back(row[i].get<char32_t>());
    }
  }
  std::vector<char32_t> different;
  for (char32_t character = 0; character < kEndOfUnicode; ++character) {
    std::u32string found;
    append_lower_case(found, character);
    const auto expected = lowered.find(character);
    if (found != (expected == lowered.end() ? std::u32string(1, character) : expected->second)) {
      different.push_back(character);
    }
  }
  EXPECT_TRUE(different.empty()) << different.size() << " from U+" << std::hex
                                 << static_cast<std::uint32_t>(different.front());
}

std::shared_ptr<TextModel> load(const std::filesystem::path& folder, const std::string& name) {
  if (name.starts_with("bert")) return load_bert(folder).ptr();
  if (name.starts_with("clip")) return load_clip_text_model(folder).ptr();
  return load_t5(folder).ptr();
}

class TextModelParityTest : public testing::TestWithParam<const char*> {};

TEST_P(TextModelParityTest, OutputAndGradientsEqualTheReferences) {
  const auto folder = fixtures() / GetParam();
  const std::shared_ptr<TextModel> model = load(folder, GetParam());
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const at::Tensor output = model->forward(io.at("ids"), io.at("mask").to(at::kBool));
  expect_close(output, io.at("output"), "output");
  // StableDiffusionPipeline 2 takes the penultimate layer of a CLIP with one layer more.
  const auto penultimate = io.find("penultimate");
  if (penultimate != io.end()) expect_close(output, penultimate->second, "penultimate");

  ((output * io.at("weight")).sum() * 0.1).backward();
  std::size_t compared = 0;
  for (const auto& parameter : model->named_parameters()) {
    if (parameter.key().starts_with("pooler.")) continue;
    const std::string name = "grad." + parameter.key();
    expect_close(parameter.value().grad(), io.at(name), name);
    ++compared;
  }
  EXPECT_EQ(compared + (penultimate != io.end() ? 5 : 4), io.size())
      << "gradients of the reference that have no parameter here";
}

TEST_P(TextModelParityTest, EncoderTurnsPromptsIntoTheReferencesStates) {
  const auto folder = fixtures() / GetParam();
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const auto encoder = load_text_encoder(folder, {}, io.at("ids").size(1));
  // As in reference/text_encoder.py; of the second, the reference cut the end off.
  const std::vector<std::string> prompts = {
      "a smiling face", "red heart, 3 ghosts & a skull on the beach at sunset in winter", "",
      "Œuvre naïve 日本"};
  const TextEmbedding embedding = encoder->encode(prompts);
  EXPECT_TRUE(embedding.mask.equal(io.at("mask").to(at::kBool)));
  expect_close(embedding.context, io.at("output"), "context");
  EXPECT_FALSE(embedding.truncated.empty());
  EXPECT_EQ(embedding.truncated.front(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Models, TextModelParityTest,
                         testing::Values("bert_uncased", "bert_cased", "clip_published",
                                         "clip_saved", "t5_v1_0", "t5_v1_1"));

class TextTrainingParityTest : public testing::TestWithParam<const char*> {};

TEST_P(TextTrainingParityTest, WeightsAfterTenStepsEqualTheReferences) {
  const auto folder = fixtures() / GetParam();
  const std::shared_ptr<TextModel> model = load(folder, GetParam());
  expect_equal_training(model, folder, [&](const TensorMap& batch) {
    const at::Tensor states = model->forward(batch.at("ids"), batch.at("mask").to(at::kBool));
    return at::mse_loss(states, batch.at("target"));
  });
}

INSTANTIATE_TEST_SUITE_P(Models, TextTrainingParityTest,
                         testing::Values("bert_cased", "clip_published", "clip_saved", "t5_v1_0",
                                         "t5_v1_1"));

}  // namespace
}  // namespace crescendo::text_encoder
