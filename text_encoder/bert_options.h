#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::text_encoder {

/// What transformers' BertConfig says of the encoder.
struct BertOptions {
  std::int64_t vocab_size = 30522;
  std::int64_t hidden_size = 768;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";
  std::int64_t max_position_embeddings = 512;
  std::int64_t type_vocab_size = 2;
  double layer_norm_eps = 1e-12;
  std::optional<std::int64_t> pad_token_id = 0;  ///< its embedding gets no gradient
};

std::vector<Field> fields(BertOptions& options);

/// Reads a config.json. Throws UserError naming every key that is unknown, out of range or not
/// supported; `where` names the file.
BertOptions read_bert_options(const nlohmann::json& config, const std::string& where);

/// Parameters of a BertModel, without the pooler. The limits of fields() keep it from overflowing.
std::int64_t count_parameters(const BertOptions& options);

}  // namespace crescendo::text_encoder
