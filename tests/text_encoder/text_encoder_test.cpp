#include "text_encoder/text_encoder.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/fields.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "text_encoder/bert.h"

namespace crescendo::text_encoder {
namespace {

namespace fs = std::filesystem;

using Shape = std::vector<std::int64_t>;

const fs::path kFixtures = CRESCENDO_SOURCE_DIR "/tests/parity/fixtures/text_encoder";

/// Every token of a prompt is its first letter's place in the alphabet; there are `size` of them.
class LetterTokenizer : public Tokenizer {
 public:
  explicit LetterTokenizer(std::int64_t size) : size_(size) {}

  Tokens tokenize(std::span<const std::string> texts, std::int64_t max_length) const override {
    Tokens tokens;
    tokens.count = static_cast<std::int64_t>(texts.size());
    tokens.length = max_length;
    for (const std::string& text : texts) {
      for (std::int64_t i = 0; i < max_length; ++i) {
        tokens.ids.push_back(text[0] - 'a');
        tokens.mask.push_back(i < static_cast<std::int64_t>(text.size()) ? 1 : 0);
      }
    }
    return tokens;
  }
  std::int64_t vocab_size() const override { return size_; }

 private:
  std::int64_t size_;
};

std::shared_ptr<TextModel> small_model() {
  BertOptions options;
  options.vocab_size = 11;
  options.hidden_size = 8;
  options.num_hidden_layers = 1;
  options.num_attention_heads = 2;
  options.intermediate_size = 12;
  options.max_position_embeddings = 9;
  return BertModel(options).ptr();
}

TextEncoder make_encoder(std::int64_t max_length, std::int64_t vocab_size = 11) {
  return {std::make_unique<LetterTokenizer>(vocab_size), small_model(), max_length};
}

TEST(TextEncoderTest, MaxLengthMustBeWithinTheModelsPositions) {
  const auto message = [](std::int64_t found) {
    return fmt::format(
        "text_encoder.max_length: expected 1 to 9 tokens, as many as the model has positions for, "
        "found {}",
        found);
  };
  for (const std::int64_t length : {-1, 0, 10}) {
    EXPECT_EQ(error_text([&] { make_encoder(length); }), message(length));
  }
  for (const std::int64_t length : {1, 9}) EXPECT_EQ(make_encoder(length).max_length(), length);
}

TEST(TextEncoderTest, TokenizerMayNotHaveMoreTokensThanTheModel) {
  EXPECT_EQ(error_text([] { make_encoder(4, 12); }),
            "text_encoder: the tokenizer is not the model's; expected at most 11 tokens in its "
            "vocabulary, found 12");
  EXPECT_EQ(error_text([] { make_encoder(4, 11); }), "");
}

TEST(TextEncoderTest, ModelIsFrozen) {
  const std::shared_ptr<TextModel> model = small_model();
  ASSERT_TRUE(model->is_training());
  TextEncoder encoder(std::make_unique<LetterTokenizer>(11), model, 4);
  EXPECT_FALSE(model->is_training());
  ASSERT_FALSE(model->parameters().empty());
  for (const auto& parameter : model->named_parameters()) {
    EXPECT_FALSE(parameter.value().requires_grad()) << parameter.key();
  }
  EXPECT_EQ(&encoder.module(), model.get());
}

TEST(TextEncoderTest, KeepsNoGraphEvenOfATrainableModel) {
  TextEncoder encoder = make_encoder(4);
  for (at::Tensor& parameter : encoder.module().parameters()) parameter.set_requires_grad(true);
  const std::vector<std::string> prompts = {"abc"};
  EXPECT_FALSE(encoder.encode(prompts).context.requires_grad());
}

TEST(TextEncoderTest, EmbedsOnePromptARow) {
  TextEncoder encoder = make_encoder(4);
  const std::vector<std::string> prompts = {"abc", "k", "abc"};
  const TextEmbedding embedding = encoder.encode(prompts);
  EXPECT_EQ(encoder.dim(), 8);
  EXPECT_EQ(embedding.context.sizes(), (Shape{3, 4, 8}));
  EXPECT_EQ(embedding.context.scalar_type(), at::kFloat);
  const at::Tensor mask = at::tensor({1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0}).view({3, 4});
  EXPECT_TRUE(at::equal(embedding.mask, mask.to(at::kBool)));
  EXPECT_TRUE(at::allclose(embedding.context[0], embedding.context[2], 1e-4, 1e-5));
  EXPECT_FALSE(at::allclose(embedding.context[0], embedding.context[1], 1e-2, 1e-2));
}

TEST(TextEncoderTest, TokensGiveWhatTheirPromptsGive) {
  TextEncoder encoder = make_encoder(4);
  const std::vector<std::string> prompts = {"abc", "k"};
  Tokens tokens = encoder.tokenizer().tokenize(prompts, 4);
  tokens.truncated = {1};
  const TextEmbedding embedding = encoder.encode(tokens);
  const TextEmbedding expected = encoder.encode(prompts);
  EXPECT_TRUE(at::equal(embedding.context, expected.context));
  EXPECT_TRUE(at::equal(embedding.mask, expected.mask));
  EXPECT_EQ(embedding.truncated, tokens.truncated);
}

TEST(TextEncoderTest, NoPromptsGiveNoRows) {
  TextEncoder encoder = make_encoder(4);
  const TextEmbedding embedding = encoder.encode(std::vector<std::string>());
  EXPECT_EQ(embedding.context.sizes(), (Shape{0, 4, 8}));
  EXPECT_EQ(embedding.mask.sizes(), (Shape{0, 4}));
}

/// A copy of one of the parity fixtures, to be spoilt.
class LoadTextEncoderTest : public testing::Test {
 protected:
  void copy(const std::string& fixture) {
    for (const char* name : {"config.json", "model.safetensors", "vocab.txt", "spiece.model",
                             "tokenizer_config.json"}) {
      const fs::path file = kFixtures / fixture / name;
      if (fs::exists(file)) fs::copy(file, folder_ / name);
    }
  }

  std::string load_error() const {
    return error_text([&] { load_text_encoder(folder_.path(), {}, 12); });
  }

  void write_config(const std::string& text) {
    write_file_atomically(folder_ / "config.json", text);
  }

  std::string path_of(const std::string& name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(LoadTextEncoderTest, OpensEachArchitecture) {
  for (const char* fixture :
       {"bert_uncased", "clip_published", "clip_saved", "t5_v1_0", "t5_v1_1"}) {
    const auto encoder = load_text_encoder(kFixtures / fixture, {}, 12);
    EXPECT_EQ(encoder->max_length(), 12) << fixture;
    const std::vector<std::string> prompts = {
        "a cat", "red heart, 3 ghosts & a skull on the beach at sunset in winter", ""};
    const TextEmbedding embedding = encoder->encode(prompts);
    EXPECT_EQ(embedding.context.sizes(), (Shape{3, 12, encoder->dim()})) << fixture;
    EXPECT_EQ(embedding.truncated, std::vector<std::size_t>{1}) << fixture;
    EXPECT_TRUE(embedding.mask[1].all().item<bool>()) << fixture;
    EXPECT_FALSE(embedding.mask[2].all().item<bool>()) << fixture;
  }
}

TEST_F(LoadTextEncoderTest, TokenizerMayLieElsewhere) {
  copy("bert_uncased");
  const TemporaryFolder elsewhere;
  const fs::path tokenizer = elsewhere / "tokenizer";
  const std::vector<std::string> prompts = {"a cat"};
  const at::Tensor expected = load_text_encoder(folder_.path(), {}, 12)->encode(prompts).context;
  const auto loaded = [&] {
    return load_text_encoder(folder_.path(), tokenizer, 12)->encode(prompts).context;
  };
  EXPECT_TRUE(at::equal(loaded(), expected)) << "no such folder: beside the weights";
  fs::create_directory(tokenizer);
  fs::rename(folder_ / "vocab.txt", tokenizer / "vocab.txt");
  EXPECT_TRUE(at::equal(loaded(), expected));
  EXPECT_EQ(load_error(),
            folder_.path().string() +
                ": no tokenizer; expected spiece.model (T5), vocab.json and merges.txt (CLIP), "
                "vocab.txt (BERT) or tokenizer.json (CLIP, BERT). Copy the tokenizer's files of "
                "the model that the weights came from");
}

// T5 is known to overflow float16: whatever the file holds, the encoder computes in float32.
TEST_F(LoadTextEncoderTest, WeightsOfFloat16AreComputedWithInFloat32) {
  for (const char* fixture : {"bert_uncased", "t5_v1_1"}) {
    copy(fixture);
    TensorMap weights = load_tensors(folder_ / "model.safetensors");
    for (auto& [name, tensor] : weights) tensor = tensor.to(at::kHalf);
    save_tensors(folder_ / "model.safetensors", weights);
    const auto encoder = load_text_encoder(folder_.path(), {}, 12);
    for (const auto& parameter : encoder->module().named_parameters()) {
      EXPECT_EQ(parameter.value().scalar_type(), at::kFloat) << parameter.key();
    }
    const std::vector<std::string> prompts = {"a cat"};
    EXPECT_EQ(encoder->encode(prompts).context.scalar_type(), at::kFloat);
    for (const auto& entry : fs::directory_iterator(folder_.path())) fs::remove(entry.path());
  }
}

TEST_F(LoadTextEncoderTest, ModelTypeMustBeSupported) {
  copy("bert_uncased");
  const std::string rule = path_of("config.json") +
                           ": model_type: not a supported text encoder; expected one of bert, "
                           "clip_text_model, t5, found ";
  write_config(R"({"model_type": "gpt2"})");
  EXPECT_EQ(load_error(), rule + "\"gpt2\"");
  write_config(R"({"model_type": 5})");
  EXPECT_EQ(load_error(), rule + "5");
  for (const char* text : {"{}", "[]"}) {
    write_config(text);
    EXPECT_EQ(load_error(), rule + "null");
  }
}

TEST_F(LoadTextEncoderTest, NamesWhatIsMissing) {
  EXPECT_TRUE(load_error().starts_with(folder_.path().string() + ": no tokenizer; expected "));
  copy("t5_v1_0");
  fs::remove(folder_ / "config.json");
  EXPECT_EQ(load_error(), path_of("config.json") + ": cannot read: No such file or directory");
  fs::copy(kFixtures / "t5_v1_0/config.json", folder_ / "config.json");
  fs::remove(folder_ / "model.safetensors");
  EXPECT_EQ(load_error(),
            folder_.path().string() +
                ": no weights; expected diffusion_pytorch_model.safetensors or model.safetensors");
  write_file_atomically(folder_ / "pytorch_model.bin", "");
  EXPECT_TRUE(load_error().starts_with(path_of("pytorch_model.bin") + ": refused: a pickle"));
}

TEST_F(LoadTextEncoderTest, NamesWhatIsWrongWithTheConfig) {
  copy("bert_uncased");
  write_config("{");
  EXPECT_TRUE(load_error().starts_with(path_of("config.json") + ": not valid JSON at byte "));
  nlohmann::json config = read_json_file(kFixtures / "bert_uncased/config.json");
  config["hidden_sizes"] = 16;
  write_config(config.dump());
  EXPECT_EQ(load_error(),
            path_of("config.json") + ": hidden_sizes: unknown key; did you mean 'hidden_size'?");
}

TEST_F(LoadTextEncoderTest, WeightsMustFitTheConfig) {
  copy("bert_uncased");
  nlohmann::json config = read_json_file(folder_ / "config.json");
  config["intermediate_size"] = 23;
  write_config(config.dump());
  const std::string message = load_error();
  EXPECT_NE(message.find("encoder.layer.0.intermediate.dense.weight: expected [23, 16], found "
                         "[24, 16]"),
            std::string::npos)
      << message;
}

TEST_F(LoadTextEncoderTest, VocabularyOfAnotherModelIsRefused) {
  copy("bert_uncased");
  write_file_atomically(folder_ / "vocab.txt", read_file(folder_ / "vocab.txt") + "one more\n");
  EXPECT_EQ(load_error(),
            "text_encoder: the tokenizer is not the model's; expected at most 519 tokens in its "
            "vocabulary, found 520");
}

}  // namespace
}  // namespace crescendo::text_encoder
