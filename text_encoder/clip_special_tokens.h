#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "text_encoder/tokenizer_json.h"

namespace crescendo::text_encoder {

/// A token that is found in the text itself, before it is cut into words.
struct AddedToken {
  std::string text;
  bool normalized = false;         ///< looked for in the normalized text, so in any case
  std::optional<std::int64_t> id;  ///< where a file says it; else it is in the vocabulary
};

struct ClipSpecialTokens {
  std::string bos = "<|startoftext|>";
  std::string eos = "<|endoftext|>";
  std::string unk = "<|endoftext|>";
  std::string pad = "<|endoftext|>";  ///< "!" in Stable Diffusion 2
  std::vector<AddedToken> added;      ///< these four, and others that were taught to the model
};

/// Reads them as transformers does: from tokenizer_config.json; from special_tokens_map.json, which
/// overrides it, and added_tokens.json and tokenizer.json, unless the first lists all added tokens.
/// `tokenizer` is the last, where it is read already. Throws DataError for what is malformed or not
/// supported.
ClipSpecialTokens read_clip_special_tokens(const std::filesystem::path& folder,
                                           const TokenizerJson* tokenizer = nullptr);

}  // namespace crescendo::text_encoder
