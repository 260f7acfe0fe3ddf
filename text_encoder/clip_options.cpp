#include "text_encoder/clip_options.h"

#include "core/error.h"
#include "text_encoder/transformers_keys.h"

namespace crescendo::text_encoder {

std::vector<Field> fields(CLIPTextOptions& options) {
  constexpr double kMaxVocab = 1 << 24;
  constexpr double kMaxWidth = 1 << 20;
  constexpr double kMaxDepth = 1 << 10;
  constexpr double kMaxPositions = 1 << 14;
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
       .choices = {"quick_gelu", "gelu"}},
      {"max_position_embeddings", &options.max_position_embeddings, "longest sequence, in tokens",
       1, kMaxPositions},
      {"layer_norm_eps", &options.layer_norm_eps, "added to the variance in layer norms", 0, 1},
      {"use_attention_mask", &options.use_attention_mask, "tokens do not attend to the padding"},
  };
}

CLIPTextOptions read_clip_text_options(const nlohmann::json& config, const std::string& where) {
  ModelConfigRules rules;
  rules.ignored = transformers_keys();
  std::erase(rules.ignored, "use_attention_mask");
  rules.ignored.insert(rules.ignored.end(), {"attention_dropout", "dropout", "projection_dim"});
  CLIPTextOptions options;
  read_model_config(config, where, fields(options), rules);
  check_heads(options.hidden_size, options.num_attention_heads, where);
  return options;
}

std::int64_t count_parameters(const CLIPTextOptions& options) {
  const std::int64_t width = options.hidden_size;
  const std::int64_t inner = options.intermediate_size;
  const std::int64_t norm = 2 * width;
  const std::int64_t attention = 4 * (width * width + width);
  const std::int64_t feed_forward = 2 * width * inner + inner + width;
  return (options.vocab_size + options.max_position_embeddings) * width + norm +
         options.num_hidden_layers * (attention + feed_forward + 2 * norm);
}

}  // namespace crescendo::text_encoder
