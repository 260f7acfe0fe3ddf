#include "text_encoder/t5_options.h"

#include "core/error.h"
#include "text_encoder/transformers_keys.h"

namespace crescendo::text_encoder {

std::vector<Field> fields(T5Options& options) {
  constexpr double kMaxVocab = 1 << 24;
  constexpr double kMaxWidth = 1 << 20;
  constexpr double kMaxSmall = 1 << 10;
  return {
      {"vocab_size", &options.vocab_size, "tokens in the vocabulary", 1, kMaxVocab},
      {"d_model", &options.d_model, "width of the hidden states", 1, kMaxWidth},
      {"d_kv", &options.d_kv, "width of an attention head", 1, kMaxSmall},
      {"d_ff", &options.d_ff, "width inside the feed-forward layers", 1, kMaxWidth},
      {"num_layers", &options.num_layers, "blocks of the encoder", 1, kMaxSmall},
      {"num_heads", &options.num_heads, "heads of each attention", 1, kMaxSmall},
      {"relative_attention_num_buckets", &options.relative_attention_num_buckets,
       "classes of distance between tokens, both directions together", 4, kMaxWidth},
      {"relative_attention_max_distance", &options.relative_attention_max_distance,
       "from here on, in tokens, all distances are one class", 2, kMaxWidth},
      {"layer_norm_epsilon", &options.layer_norm_epsilon, "added to the mean square in layer norms",
       0, 1},
      {.name = "feed_forward_proj",
       .value = &options.feed_forward_proj,
       .doc = "feed-forward layer: of T5 1.0 or 1.1",
       .choices = {"relu", "gated-gelu"}},
  };
}

T5Options read_t5_options(const nlohmann::json& config, const std::string& where) {
  ModelConfigRules rules;
  rules.fixed = {{"is_decoder", false}};
  rules.ignored = transformers_keys();
  // The decoder's, and those that follow from feed_forward_proj.
  rules.ignored.insert(rules.ignored.end(),
                       {"dense_act_fn", "dropout_rate", "is_gated_act", "n_positions",
                        "num_decoder_layers", "scale_decoder_outputs"});
  T5Options options;
  read_model_config(config, where, fields(options), rules);
  // Half the buckets of a direction are single distances; the others begin after them.
  const std::int64_t exact = options.relative_attention_num_buckets / 4;
  if (options.relative_attention_max_distance <= exact) {
    throw UserError("{}: relative_attention_max_distance: expected more than {}, found {}", where,
                    exact, options.relative_attention_max_distance);
  }
  return options;
}

std::int64_t count_parameters(const T5Options& options) {
  const std::int64_t width = options.d_model;
  const std::int64_t attention = 4 * width * options.num_heads * options.d_kv + width;
  const std::int64_t feed_forward = (options.is_gated() ? 3 : 2) * width * options.d_ff + width;
  return options.vocab_size * width + options.relative_attention_num_buckets * options.num_heads +
         options.num_layers * (attention + feed_forward) + width;
}

}  // namespace crescendo::text_encoder
