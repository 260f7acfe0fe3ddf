#include "text_encoder/clip_options.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::text_encoder {
namespace {

constexpr const char* kWhere = "text_encoder/config.json";

std::string clip_error(const nlohmann::json& config) {
  return error_text([&] { read_clip_text_options(config, kWhere); });
}

TEST(CLIPTextOptionsTest, DefaultsAreTheReferences) {
  const CLIPTextOptions options = read_clip_text_options(nlohmann::json::object(), kWhere);
  EXPECT_EQ(options.vocab_size, 49408);
  EXPECT_EQ(options.hidden_size, 512);
  EXPECT_EQ(options.num_hidden_layers, 12);
  EXPECT_EQ(options.num_attention_heads, 8);
  EXPECT_EQ(options.intermediate_size, 2048);
  EXPECT_EQ(options.hidden_act, "quick_gelu");
  EXPECT_EQ(options.max_position_embeddings, 77);
  EXPECT_EQ(options.layer_norm_eps, 1e-5);
  EXPECT_FALSE(options.use_attention_mask);
}

TEST(CLIPTextOptionsTest, ReadsConfigsAsPublished) {
  const CLIPTextOptions first = read_clip_text_options(nlohmann::json::parse(R"({
      "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"],
      "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2,
      "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0,
      "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
      "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12,
      "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float32",
      "transformers_version": "4.22.0.dev0", "vocab_size": 49408})"),
                                                       kWhere);
  EXPECT_EQ(first.hidden_size, 768);
  EXPECT_EQ(count_parameters(first), 123060480);
  const CLIPTextOptions second = read_clip_text_options(nlohmann::json::parse(R"({
      "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096,
      "num_attention_heads": 16, "num_hidden_layers": 23, "projection_dim": 512,
      "use_attention_mask": true})"),
                                                        kWhere);
  EXPECT_EQ(second.num_hidden_layers, 23);
  EXPECT_EQ(second.hidden_act, "gelu");
  EXPECT_TRUE(second.use_attention_mask);
}

TEST(CLIPTextOptionsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(clip_error({{"hiden_size", 8}}),
            "text_encoder/config.json: hiden_size: unknown key; did you mean 'hidden_size'?");
}

TEST(CLIPTextOptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(clip_error({{"hidden_act", "relu"}}),
            "text_encoder/config.json: hidden_act: expected one of quick_gelu, gelu, found "
            "\"relu\"");
  EXPECT_EQ(clip_error({{"max_position_embeddings", 20000}}),
            "text_encoder/config.json: max_position_embeddings: expected integer from 1 to 16384, "
            "found 20000");
}

TEST(CLIPTextOptionsTest, HeadsMustDivideTheWidth) {
  EXPECT_EQ(clip_error({{"hidden_size", 10}, {"num_attention_heads", 4}}),
            "text_encoder/config.json: hidden_size: expected a multiple of num_attention_heads = "
            "4, found 10");
  EXPECT_EQ(clip_error({{"hidden_size", 12}, {"num_attention_heads", 4}}), "");
}

TEST(CLIPTextOptionsTest, ListsEveryProblem) {
  EXPECT_EQ(clip_error({{"vocab_size", 0}, {"use_attention_mask", 1}, {"layer_norm_eps", "small"}}),
            "text_encoder/config.json: 3 problems\n"
            "  layer_norm_eps: expected number from 0 to 1, found \"small\"\n"
            "  use_attention_mask: expected true or false, found 1\n"
            "  vocab_size: expected integer from 1 to 16777216, found 0");
}

}  // namespace
}  // namespace crescendo::text_encoder
