#include "text_encoder/vocabulary.h"

#include <algorithm>
#include <optional>

#include "core/atomic_file.h"
#include "core/error.h"

namespace crescendo::text_encoder {

namespace {

using Json = nlohmann::json;

std::int64_t id_of(const std::string& token, const Json& id, const std::string& file) {
  if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
      id.get<std::int64_t>() > kMaxTokenId) {
    throw DataError("{}: id of '{}': expected an integer from 0 to {}, found {}", file, token,
                    kMaxTokenId, id.dump());
  }
  return id.get<std::int64_t>();
}

/// Takes what is in one object of a JSON text out of the parser's hands.
class VocabularyTaker {
 public:
  VocabularyTaker(const std::string& file, const std::vector<std::string>& path,
                  Vocabulary& vocabulary)
      : file_(file), path_(path), vocabulary_(vocabulary) {}

  /// nlohmann's callback: whether `parsed` is to be kept.
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using enum Json::parse_event_t;
    const auto level = static_cast<std::size_t>(depth);
    const bool is_inside = level == path_.size() + 1 && keys_ == path_;
    if (event == key && level <= path_.size()) {
      keys_.resize(level - 1);
      keys_.push_back(parsed.get<std::string>());
    }
    if (!is_inside) return true;
    if (event == key) {
      token_ = parsed.get<std::string>();
      return false;
    }
    if (!token_ || event == object_end || event == array_end) return true;  // of a list
    vocabulary_[*token_] = id_of(*token_, event == value ? parsed : Json(), file_);
    token_.reset();
    return false;
  }

 private:
  const std::string& file_;
  const std::vector<std::string>& path_;
  Vocabulary& vocabulary_;
  std::vector<std::string> keys_;     ///< that led here, as many as `path_` may have
  std::optional<std::string> token_;  ///< whose id comes next
};

}  // namespace

Vocabulary read_vocabulary(const nlohmann::json& tokens, const std::string& file) {
  if (!tokens.is_object()) {
    throw DataError("{}: expected a JSON object of tokens and their ids, found {}", file,
                    tokens.type_name());
  }
  Vocabulary vocabulary;
  vocabulary.reserve(tokens.size());
  for (const auto& [token, id] : tokens.items()) {
    vocabulary[token] = id_of(token, id, file);
  }
  return vocabulary;
}

Json read_json_around_vocabulary(const std::filesystem::path& file,
                                 const std::vector<std::string>& path, Vocabulary& vocabulary) {
  const std::string name = file.string();
  try {
    return Json::parse(read_file(file), VocabularyTaker(name, path, vocabulary));
  } catch (const Json::parse_error& failure) {
    throw DataError("{}: not valid JSON at byte {}", name, failure.byte);
  }
}

Vocabulary read_vocabulary_file(const std::filesystem::path& file) {
  Vocabulary vocabulary;
  const Json rest = read_json_around_vocabulary(file, {}, vocabulary);
  read_vocabulary(rest, file.string());  // throws where it is no object
  return vocabulary;
}

std::int64_t vocabulary_size(const Vocabulary& vocabulary) {
  std::int64_t size = 0;
  for (const auto& [token, id] : vocabulary) size = std::max(size, id + 1);
  return size;
}

}  // namespace crescendo::text_encoder
