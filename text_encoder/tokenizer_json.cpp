#include "text_encoder/tokenizer_json.h"

namespace crescendo::text_encoder {

namespace {

using Json = nlohmann::json;

const Json& find_in(const Json& object, const std::string& key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

}  // namespace

const Json& TokenizerJson::find(const std::string& key) const { return find_in(values, key); }

const Json& TokenizerJson::find_of_model(const std::string& key) const {
  return find_in(find("model"), key);
}

bool TokenizerJson::holds_byte_pairs() const { return find_of_model("type") == "BPE"; }

TokenizerJson read_tokenizer_json(const std::filesystem::path& file) {
  TokenizerJson json{.file = file.string()};
  json.values = read_json_around_vocabulary(file, {"model", "vocab"}, json.vocabulary);
  return json;
}

}  // namespace crescendo::text_encoder
