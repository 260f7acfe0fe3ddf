#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace crescendo::text_encoder {

/// tokenizer_config.json of a folder, or an empty object where there is none. Transformers keeps
/// much more there than a tokenizer needs, so keys that are not asked for are passed over.
class TokenizerConfig {
 public:
  explicit TokenizerConfig(const std::filesystem::path& folder);

  /// The value of a key; `fallback` when it is absent or null. Throws DataError for another type.
  bool flag(const std::string& key, bool fallback) const;
  std::int64_t integer(const std::string& key, std::int64_t fallback) const;

  /// The text of a special token, written as a string or as {"content": ...}.
  std::string token(const std::string& key, const std::string& fallback) const;

 private:
  const nlohmann::json* find(const std::string& key) const;
  [[noreturn]] void reject(const std::string& key, const char* expected) const;

  std::filesystem::path file_;
  nlohmann::json values_ = nlohmann::json::object();
};

}  // namespace crescendo::text_encoder
