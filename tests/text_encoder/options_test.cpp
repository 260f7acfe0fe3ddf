#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "text_encoder/bert_options.h"
#include "text_encoder/clip_options.h"
#include "text_encoder/t5_options.h"

namespace crescendo::text_encoder {
namespace {

constexpr const char* kWhere = "text_encoder/config.json";

std::string bert_error(const nlohmann::json& config) {
  return error_text([&] { read_bert_options(config, kWhere); });
}

/// With every integer at the end of its range.
template <typename Options>
Options largest() {
  Options options;
  for (const Field& field : fields(options)) {
    if (std::int64_t* const* value = std::get_if<std::int64_t*>(&field.value)) {
      **value = static_cast<std::int64_t>(field.maximum);
    }
  }
  return options;
}

std::string t5_error(const nlohmann::json& config) {
  return error_text([&] { read_t5_options(config, kWhere); });
}

TEST(BertOptionsTest, DefaultsAreTheReferences) {
  const BertOptions options = read_bert_options(nlohmann::json::object(), kWhere);
  EXPECT_EQ(options.vocab_size, 30522);
  EXPECT_EQ(options.hidden_size, 768);
  EXPECT_EQ(options.num_hidden_layers, 12);
  EXPECT_EQ(options.num_attention_heads, 12);
  EXPECT_EQ(options.intermediate_size, 3072);
  EXPECT_EQ(options.hidden_act, "gelu");
  EXPECT_EQ(options.max_position_embeddings, 512);
  EXPECT_EQ(options.type_vocab_size, 2);
  EXPECT_EQ(options.layer_norm_eps, 1e-12);
  EXPECT_EQ(options.pad_token_id, 0);
}

TEST(BertOptionsTest, PaddingIsATokenOrNone) {
  EXPECT_FALSE(read_bert_options({{"pad_token_id", nullptr}}, kWhere).pad_token_id);
  EXPECT_EQ(bert_error({{"pad_token_id", 8}, {"vocab_size", 8}}),
            "text_encoder/config.json: pad_token_id: expected less than vocab_size = 8, found 8");
}

TEST(BertOptionsTest, ReadsAPublishedConfig) {
  const BertOptions options = read_bert_options(nlohmann::json::parse(R"({
      "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"],
      "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": false, "hidden_act": "gelu",
      "hidden_dropout_prob": 0.1, "hidden_size": 384, "initializer_range": 0.02,
      "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
      "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
      "position_embedding_type": "absolute", "transformers_version": "4.8.2",
      "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522})"),
                                                kWhere);
  EXPECT_EQ(options.hidden_size, 384);
  EXPECT_EQ(options.intermediate_size, 1536);
  EXPECT_EQ(options.num_hidden_layers, 6);
}

TEST(BertOptionsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(bert_error({{"hiden_size", 8}}),
            "text_encoder/config.json: hiden_size: unknown key; did you mean 'hidden_size'?");
  EXPECT_EQ(bert_error({{"embedding_rotation", 8}}),
            "text_encoder/config.json: embedding_rotation: unknown key");
}

TEST(BertOptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(bert_error({{"position_embedding_type", "relative_key"}}),
            "text_encoder/config.json: position_embedding_type: only \"absolute\" is supported, "
            "found \"relative_key\"");
  EXPECT_EQ(bert_error({{"is_decoder", true}}),
            "text_encoder/config.json: is_decoder: only false is supported, found true");
  EXPECT_EQ(bert_error({{"add_cross_attention", true}}),
            "text_encoder/config.json: add_cross_attention: only false is supported, found true");
  EXPECT_EQ(bert_error({{"hidden_act", "silu"}}),
            "text_encoder/config.json: hidden_act: expected one of gelu, gelu_new, relu, found "
            "\"silu\"");
}

TEST(BertOptionsTest, HeadsMustDivideTheWidth) {
  EXPECT_EQ(bert_error({{"hidden_size", 10}, {"num_attention_heads", 4}}),
            "text_encoder/config.json: hidden_size: expected a multiple of num_attention_heads = "
            "4, found 10");
  EXPECT_EQ(bert_error({{"hidden_size", 12}, {"num_attention_heads", 4}}), "");
}

TEST(BertOptionsTest, ListsEveryProblem) {
  EXPECT_EQ(bert_error({{"vocab_size", 0}, {"is_decoder", true}, {"layer_norm_eps", "small"}}),
            "text_encoder/config.json: 3 problems\n"
            "  is_decoder: only false is supported, found true\n"
            "  layer_norm_eps: expected number from 0 to 1, found \"small\"\n"
            "  vocab_size: expected integer from 1 to 16777216, found 0");
  EXPECT_EQ(bert_error(nlohmann::json::array()),
            "text_encoder/config.json: expected a JSON object, found array");
}

TEST(T5OptionsTest, DefaultsAreTheReferences) {
  const T5Options options = read_t5_options(nlohmann::json::object(), kWhere);
  EXPECT_EQ(options.vocab_size, 32128);
  EXPECT_EQ(options.d_model, 512);
  EXPECT_EQ(options.d_kv, 64);
  EXPECT_EQ(options.d_ff, 2048);
  EXPECT_EQ(options.num_layers, 6);
  EXPECT_EQ(options.num_heads, 8);
  EXPECT_EQ(options.relative_attention_num_buckets, 32);
  EXPECT_EQ(options.relative_attention_max_distance, 128);
  EXPECT_EQ(options.layer_norm_epsilon, 1e-6);
  EXPECT_EQ(options.feed_forward_proj, "relu");
  EXPECT_FALSE(options.is_gated());
}

TEST(T5OptionsTest, ReadsAPublishedConfig) {
  const T5Options options = read_t5_options(nlohmann::json::parse(R"({
      "architectures": ["T5ForConditionalGeneration"], "d_ff": 1024, "d_kv": 64, "d_model": 512,
      "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
      "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": true,
      "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512,
      "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8, "output_past": true,
      "pad_token_id": 0, "relative_attention_max_distance": 128,
      "relative_attention_num_buckets": 32, "tie_word_embeddings": false,
      "transformers_version": "4.23.1", "use_cache": true, "vocab_size": 32128})"),
                                            kWhere);
  EXPECT_TRUE(options.is_gated());
  EXPECT_EQ(options.num_heads, 6);
  EXPECT_EQ(options.num_layers, 8);
}

TEST(T5OptionsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(t5_error({{"d_modl", 8}}),
            "text_encoder/config.json: d_modl: unknown key; did you mean 'd_model'?");
}

TEST(T5OptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(t5_error({{"is_decoder", true}}),
            "text_encoder/config.json: is_decoder: only false is supported, found true");
  EXPECT_EQ(t5_error({{"feed_forward_proj", "gated-silu"}}),
            "text_encoder/config.json: feed_forward_proj: expected one of relu, gated-gelu, found "
            "\"gated-silu\"");
}

TEST(T5OptionsTest, DistancesMustGoBeyondTheSingleOnes) {
  const auto error = [](std::int64_t buckets, std::int64_t distance) {
    return t5_error({{"relative_attention_num_buckets", buckets},
                     {"relative_attention_max_distance", distance}});
  };
  EXPECT_EQ(error(32, 8),
            "text_encoder/config.json: relative_attention_max_distance: expected more than 8, "
            "found 8");
  EXPECT_EQ(error(32, 9), "");
  EXPECT_EQ(error(3, 9),
            "text_encoder/config.json: relative_attention_num_buckets: expected integer from 4 to "
            "1048576, found 3");
}

TEST(T5OptionsTest, ListsEveryProblem) {
  EXPECT_EQ(t5_error({{"num_heads", 0}, {"d_kv", 2.5}}),
            "text_encoder/config.json: 2 problems\n"
            "  d_kv: expected integer from 1 to 1024, found 2.5\n"
            "  num_heads: expected integer from 1 to 1024, found 0");
}

TEST(CountParametersTest, DoesNotOverflowAtTheEndOfTheRanges) {
  // 1024 layers of six matrices, 2^20 by 2^20, and little besides.
  constexpr double kMatrices = 1024.0 * 6 * 0x1p40;
  EXPECT_NEAR(static_cast<double>(count_parameters(largest<BertOptions>())) / kMatrices, 1, 0.01);
  EXPECT_NEAR(static_cast<double>(count_parameters(largest<CLIPTextOptions>())) / kMatrices, 1,
              0.01);
  EXPECT_NEAR(static_cast<double>(count_parameters(largest<T5Options>())) / kMatrices, 1, 0.01);
}

}  // namespace
}  // namespace crescendo::text_encoder
