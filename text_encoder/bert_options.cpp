#include "text_encoder/bert_options.h"

#include "core/error.h"
#include "text_encoder/transformers_keys.h"

namespace crescendo::text_encoder {

std::vector<Field> fields(BertOptions& options) {
  constexpr double kMaxVocab = 1 << 24;
  constexpr double kMaxWidth = 1 << 20;
  constexpr double kMaxDepth = 1 << 10;
  return {
      {"vocab_size", &options.vocab_size, "tokens in the vocabulary", 1, kMaxVocab},
      {"hidden_size", &options.hidden_size, "width of the hidden states", 1, kMaxWidth},
      {"num_hidden_layers", &options.num_hidden_layers, "layers", 1, kMaxDepth},
      {"num_attention_heads", &options.num_attention_heads, "heads of each attention", 1,
       kMaxWidth},
      {"intermediate_size", &options.intermediate_size, "width inside the feed-forward layers", 1,
       kMaxWidth},
      {.name = "hidden_act",
       .value = &options.hidden_act,
       .doc = "activation of the feed-forward layers",
       .choices = {"gelu", "gelu_new", "relu"}},
      {"max_position_embeddings", &options.max_position_embeddings, "longest sequence, in tokens",
       1, kMaxVocab},
      {"type_vocab_size", &options.type_vocab_size, "segment types; prompts are of the first", 1,
       kMaxVocab},
      {"layer_norm_eps", &options.layer_norm_eps, "added to the variance in layer norms", 0, 1},
      {"pad_token_id", &options.pad_token_id, "id of padding, whose embedding is not trained", 0,
       kMaxVocab},
  };
}

BertOptions read_bert_options(const nlohmann::json& config, const std::string& where) {
  ModelConfigRules rules;
  rules.fixed = {{"position_embedding_type", "absolute"},
                 {"is_decoder", false},
                 {"add_cross_attention", false}};
  rules.ignored = transformers_keys();
  std::erase(rules.ignored, "pad_token_id");
  rules.ignored.insert(rules.ignored.end(),
                       {"hidden_dropout_prob", "attention_probs_dropout_prob"});
  BertOptions options;
  read_model_config(config, where, fields(options), rules);
  check_heads(options.hidden_size, options.num_attention_heads, where);
  if (options.pad_token_id && *options.pad_token_id >= options.vocab_size) {
    throw UserError("{}: pad_token_id: expected less than vocab_size = {}, found {}", where,
                    options.vocab_size, *options.pad_token_id);
  }
  return options;
}

std::int64_t count_parameters(const BertOptions& options) {
  const std::int64_t width = options.hidden_size;
  const std::int64_t inner = options.intermediate_size;
  const std::int64_t norm = 2 * width;
  const std::int64_t rows =
      options.vocab_size + options.max_position_embeddings + options.type_vocab_size;
  const std::int64_t attention = 4 * (width * width + width) + norm;
  const std::int64_t feed_forward = 2 * width * inner + inner + width + norm;
  return rows * width + norm + options.num_hidden_layers * (attention + feed_forward);
}

}  // namespace crescendo::text_encoder
