#include "text_encoder/special_tokens.h"

namespace crescendo::text_encoder {

namespace {

const SpecialToken* longest_at(std::string_view text, const std::vector<SpecialToken>& tokens) {
  const SpecialToken* longest = nullptr;
  for (const SpecialToken& token : tokens) {
    if (token.text.empty() || !text.starts_with(token.text)) continue;
    if (longest == nullptr || token.text.size() > longest->text.size()) longest = &token;
  }
  return longest;
}

}  // namespace

std::vector<Section> split_at_special_tokens(std::string_view text,
                                             const std::vector<SpecialToken>& tokens) {
  std::vector<Section> sections;
  std::size_t begin = 0;
  const auto take_text_until = [&](std::size_t end) {
    if (end > begin) sections.push_back({text.substr(begin, end - begin), std::nullopt});
  };
  for (std::size_t at = 0; at < text.size();) {
    const SpecialToken* token = longest_at(text.substr(at), tokens);
    if (token == nullptr) {
      ++at;
      continue;
    }
    take_text_until(at);
    sections.push_back({text.substr(at, token->text.size()), token->id});
    at += token->text.size();
    begin = at;
  }
  take_text_until(text.size());
  return sections;
}

}  // namespace crescendo::text_encoder
