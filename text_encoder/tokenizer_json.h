#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "text_encoder/vocabulary.h"

namespace crescendo::text_encoder {

/// A tokenizer.json of Hugging Face's tokenizers.
struct TokenizerJson {
  std::string file;
  nlohmann::json values{};  ///< without what is in model.vocab
  Vocabulary vocabulary{};  ///< model.vocab where that is an object, not a list

  /// Null where there is none.
  const nlohmann::json& find(const std::string& key) const;
  const nlohmann::json& find_of_model(const std::string& key) const;

  /// Whether the model is of byte pairs, as CLIP's.
  bool holds_byte_pairs() const;
};

/// Throws DataError.
TokenizerJson read_tokenizer_json(const std::filesystem::path& file);

}  // namespace crescendo::text_encoder
