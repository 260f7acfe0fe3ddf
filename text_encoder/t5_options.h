#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::text_encoder {

/// What transformers' T5Config says of the encoder.
struct T5Options {
  std::int64_t vocab_size = 32128;
  std::int64_t d_model = 512;
  std::int64_t d_kv = 64;
  std::int64_t d_ff = 2048;
  std::int64_t num_layers = 6;
  std::int64_t num_heads = 8;
  std::int64_t relative_attention_num_buckets = 32;
  std::int64_t relative_attention_max_distance = 128;
  double layer_norm_epsilon = 1e-6;
  std::string feed_forward_proj = "relu";

  bool is_gated() const { return feed_forward_proj == "gated-gelu"; }
};

std::vector<Field> fields(T5Options& options);

/// Reads a config.json. Throws UserError naming every key that is unknown, out of range or not
/// supported; `where` names the file.
T5Options read_t5_options(const nlohmann::json& config, const std::string& where);

/// Parameters of a T5EncoderModel, the tied embedding once. The limits of fields() keep it from
/// overflowing.
std::int64_t count_parameters(const T5Options& options);

}  // namespace crescendo::text_encoder
