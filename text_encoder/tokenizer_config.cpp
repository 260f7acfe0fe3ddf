#include "text_encoder/tokenizer_config.h"

#include "core/error.h"
#include "core/fields.h"

namespace crescendo::text_encoder {

TokenizerConfig::TokenizerConfig(const std::filesystem::path& folder)
    : file_(folder / "tokenizer_config.json") {
  if (!std::filesystem::exists(file_)) return;
  values_ = read_json_file(file_);
  if (!values_.is_object()) {
    throw DataError("{}: expected a JSON object, found {}", file_.string(), values_.type_name());
  }
}

const nlohmann::json* TokenizerConfig::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() || found->is_null() ? nullptr : &*found;
}

void TokenizerConfig::reject(const std::string& key, const char* expected) const {
  throw DataError("{}: {}: expected {}, found {}", file_.string(), key, expected,
                  values_.at(key).dump());
}

bool TokenizerConfig::flag(const std::string& key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) reject(key, "true or false");
  return value->get<bool>();
}

std::int64_t TokenizerConfig::integer(const std::string& key, std::int64_t fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) reject(key, "an integer");
  return value->get<std::int64_t>();
}

std::string TokenizerConfig::token(const std::string& key, const std::string& fallback) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_object() && value->contains("content")) value = &value->at("content");
  if (!value->is_string()) reject(key, "a string");
  return value->get<std::string>();
}

}  // namespace crescendo::text_encoder
