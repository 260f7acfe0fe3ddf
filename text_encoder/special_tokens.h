#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::text_encoder {

struct SpecialToken {
  std::string text;
  std::int64_t id;
};

/// A stretch of a prompt: a special token, or the text between two.
struct Section {
  std::string_view text;
  std::optional<std::int64_t> special;  ///< its id
};

/// Cuts `text` at every special token: the leftmost, the longest where two begin together. Empty
/// stretches are left out. The views are of `text`.
std::vector<Section> split_at_special_tokens(std::string_view text,
                                             const std::vector<SpecialToken>& tokens);

}  // namespace crescendo::text_encoder
