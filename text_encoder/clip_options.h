#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::text_encoder {

/// What transformers' CLIPTextConfig says of the encoder.
struct CLIPTextOptions {
  std::int64_t vocab_size = 49408;
  std::int64_t hidden_size = 512;
  std::int64_t num_hidden_layers = 12;  ///< one less in Stable Diffusion 2, whose last is left out
  std::int64_t num_attention_heads = 8;
  std::int64_t intermediate_size = 2048;
  std::string hidden_act = "quick_gelu";
  std::int64_t max_position_embeddings = 77;
  double layer_norm_eps = 1e-5;
  bool use_attention_mask = false;  ///< diffusers' key: off, tokens attend to the padding too
};

std::vector<Field> fields(CLIPTextOptions& options);

/// Reads a config.json. Throws UserError naming every key that is unknown, out of range or not
/// supported; `where` names the file.
CLIPTextOptions read_clip_text_options(const nlohmann::json& config, const std::string& where);

/// Parameters of a CLIPTextModel. The limits of fields() keep it from overflowing.
std::int64_t count_parameters(const CLIPTextOptions& options);

}  // namespace crescendo::text_encoder
