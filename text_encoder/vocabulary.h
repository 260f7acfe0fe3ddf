#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::text_encoder {

/// Lets a map of strings be searched by views, so that no piece is copied to be looked up.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>()(text);
  }
};

/// The id of each token.
using Vocabulary = std::unordered_map<std::string, std::int64_t, StringHash, std::equal_to<>>;

/// The largest id that a file may give a token.
inline constexpr std::int64_t kMaxTokenId = (std::int64_t{1} << 31) - 1;

/// Reads {"token": id, ...}. Throws DataError, naming `file`, for anything else.
Vocabulary read_vocabulary(const nlohmann::json& tokens, const std::string& file);

/// The same of a whole file.
Vocabulary read_vocabulary_file(const std::filesystem::path& file);

/// Parses a JSON file, but fills `vocabulary` with the object that the keys of `path` lead to and
/// leaves that empty: a tree of all its tokens would take four times as long. Throws DataError.
nlohmann::json read_json_around_vocabulary(const std::filesystem::path& file,
                                           const std::vector<std::string>& path,
                                           Vocabulary& vocabulary);

/// One more than the largest id.
std::int64_t vocabulary_size(const Vocabulary& vocabulary);

}  // namespace crescendo::text_encoder
