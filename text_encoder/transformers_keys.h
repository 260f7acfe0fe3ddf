#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace crescendo::text_encoder {

/// Keys that transformers writes into any model's config.json and that say nothing of what a frozen
/// encoder computes: training, generation, bookkeeping.
inline const std::vector<std::string>& transformers_keys() {
  static const std::vector<std::string> keys = {
      "architectures",
      "bos_token_id",
      "chunk_size_feed_forward",
      "classifier_dropout",
      "decoder_start_token_id",
      "dtype",
      "eos_token_id",
      "gradient_checkpointing",
      "id2label",
      "initializer_factor",
      "initializer_range",
      "is_encoder_decoder",
      "label2id",
      "model_type",
      "output_attentions",
      "output_hidden_states",
      "output_past",
      "pad_token_id",
      "problem_type",
      "return_dict",
      "task_specific_params",
      "tie_word_embeddings",
      "tokenizer_class",
      "torch_dtype",
      "torchscript",
      "transformers_version",
      "use_attention_mask",  // diffusers': mask the padding, as BERT and T5 always do here
      "use_cache",
  };
  return keys;
}

/// Throws UserError, naming the file `where`, unless the heads share the hidden states evenly.
inline void check_heads(std::int64_t hidden_size, std::int64_t num_attention_heads,
                        const std::string& where) {
  if (hidden_size % num_attention_heads == 0) return;
  throw UserError("{}: hidden_size: expected a multiple of num_attention_heads = {}, found {}",
                  where, num_attention_heads, hidden_size);
}

}  // namespace crescendo::text_encoder
