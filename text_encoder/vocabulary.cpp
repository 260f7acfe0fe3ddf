#include "text_encoder/vocabulary.h"

#include <algorithm>

#include "core/error.h"

namespace crescendo::text_encoder {

Vocabulary read_vocabulary(const nlohmann::json& tokens, const std::string& file) {
  if (!tokens.is_object()) {
    throw DataError("{}: expected a JSON object of tokens and their ids, found {}", file,
                    tokens.type_name());
  }
  Vocabulary vocabulary;
  vocabulary.reserve(tokens.size());
  for (const auto& [token, id] : tokens.items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > kMaxTokenId) {
      throw DataError("{}: id of '{}': expected an integer from 0 to {}, found {}", file, token,
                      kMaxTokenId, id.dump());
    }
    vocabulary[token] = id.get<std::int64_t>();
  }
  return vocabulary;
}

std::int64_t vocabulary_size(const Vocabulary& vocabulary) {
  std::int64_t size = 0;
  for (const auto& [token, id] : vocabulary) size = std::max(size, id + 1);
  return size;
}

}  // namespace crescendo::text_encoder
