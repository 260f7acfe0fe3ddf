#include "text_encoder/clip_special_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/fields.h"
#include "text_encoder/vocabulary.h"

namespace crescendo::text_encoder {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// A JSON object of the folder; an empty one where there is none.
struct File {
  std::string name;
  Json values = Json::object();

  explicit File(const fs::path& path) : name(path.string()) {
    if (!fs::exists(path)) return;
    values = read_json_file(path);
    if (!values.is_object()) {
      throw DataError("{}: expected a JSON object, found {}", name, values.type_name());
    }
  }

  /// nullptr when the key is absent or null.
  const Json* find(const std::string& key) const {
    const auto found = values.find(key);
    return found == values.end() || found->is_null() ? nullptr : &*found;
  }
};

/// A token written as a string or as {"content": ..., "normalized": ...}.
AddedToken read_token(const Json& value, const std::string& file, const std::string& key) {
  if (value.is_string()) return {value.get<std::string>(), false, {}};
  if (!value.is_object() || !value.contains("content") || !value["content"].is_string()) {
    throw DataError("{}: {}: expected a token, a string or an object with its content, found {}",
                    file, key, value.dump());
  }
  const auto flag = [&](const char* name) {
    const Json found = value.value(name, Json(false));
    if (!found.is_boolean()) {
      throw DataError("{}: {}: {}: expected true or false, found {}", file, key, name,
                      found.dump());
    }
    return found.get<bool>();
  };
  for (const char* unsupported : {"lstrip", "rstrip", "single_word"}) {
    if (flag(unsupported)) {
      throw DataError("{}: {}: {}: only false is supported, found true", file, key, unsupported);
    }
  }
  return {value["content"].get<std::string>(), flag("normalized"), {}};
}

std::int64_t check_id(std::int64_t id, const std::string& file, const std::string& token) {
  if (id >= 0 && id <= kMaxTokenId) return id;
  throw DataError("{}: id of '{}': expected an integer from 0 to {}, found {}", file, token,
                  kMaxTokenId, id);
}

/// Adds a token, or replaces the one of the same text.
void put(std::vector<AddedToken>& tokens, AddedToken token) {
  const auto same = std::ranges::find(tokens, token.text, &AddedToken::text);
  if (same == tokens.end()) {
    tokens.push_back(std::move(token));
  } else {
    *same = std::move(token);
  }
}

/// {"49406": {"content": ...}, ...}
std::vector<AddedToken> read_decoder(const Json& decoder, const std::string& file) {
  if (!decoder.is_object()) {
    throw DataError("{}: added_tokens_decoder: expected a JSON object, found {}", file,
                    decoder.type_name());
  }
  std::vector<AddedToken> tokens;
  for (const auto& [key, value] : decoder.items()) {
    AddedToken token = read_token(value, file, "added_tokens_decoder");
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size()) id = -1;
    token.id = check_id(id, file, token.text);
    put(tokens, std::move(token));
  }
  return tokens;
}

/// {"<token>": 49408, ...}, then the "added_tokens" of tokenizer.json: [{"id": ..., ...}, ...].
std::vector<AddedToken> read_older_files(const fs::path& folder, const TokenizerJson& tokenizer,
                                         const ClipSpecialTokens& roles) {
  std::vector<AddedToken> tokens;
  const File added(folder / "added_tokens.json");
  const auto is_role = [&](const std::string& text) {
    return text == roles.bos || text == roles.eos || text == roles.unk || text == roles.pad;
  };
  for (const auto& [text, id] : read_vocabulary(added.values, added.name)) {
    put(tokens, {text, !is_role(text), id});
  }
  const Json& list = tokenizer.find("added_tokens");
  if (list.is_null()) return tokens;
  if (!list.is_array()) {
    throw DataError("{}: added_tokens: expected a list, found {}", tokenizer.file,
                    list.type_name());
  }
  for (const Json& value : list) {
    AddedToken token = read_token(value, tokenizer.file, "added_tokens");
    const Json id = value.is_object() ? value.value("id", Json()) : Json();
    token.id =
        check_id(id.is_number_integer() ? id.get<std::int64_t>() : -1, tokenizer.file, token.text);
    put(tokens, std::move(token));
  }
  return tokens;
}

}  // namespace

ClipSpecialTokens read_clip_special_tokens(const fs::path& folder, const TokenizerJson* tokenizer) {
  const File config(folder / "tokenizer_config.json");
  const File map(folder / "special_tokens_map.json");
  const Json* decoder = config.find("added_tokens_decoder");
  ClipSpecialTokens tokens;
  std::vector<AddedToken> roles;
  for (const auto& [key, text] :
       {std::pair{"bos_token", &tokens.bos}, std::pair{"eos_token", &tokens.eos},
        std::pair{"unk_token", &tokens.unk}, std::pair{"pad_token", &tokens.pad}}) {
    const File& file = decoder == nullptr && map.find(key) != nullptr ? map : config;
    const Json* value = file.find(key);
    AddedToken token =
        value == nullptr ? AddedToken{*text, false, {}} : read_token(*value, file.name, key);
    *text = token.text;
    put(roles, std::move(token));
  }
  if (decoder != nullptr) {
    tokens.added = read_decoder(*decoder, config.name);
  } else if (tokenizer != nullptr) {
    tokens.added = read_older_files(folder, *tokenizer, tokens);
  } else {
    const fs::path json = folder / "tokenizer.json";
    tokens.added = read_older_files(
        folder, fs::exists(json) ? read_tokenizer_json(json) : TokenizerJson(), tokens);
  }
  for (AddedToken& role : roles) {
    if (std::ranges::find(tokens.added, role.text, &AddedToken::text) == tokens.added.end()) {
      tokens.added.push_back(std::move(role));
    }
  }
  return tokens;
}

}  // namespace crescendo::text_encoder
