#include "pipelines/generation/prompt_truncation.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace crescendo::pipelines {

namespace {

bool fits(const text_encoder::TextEncoder& encoder, const std::string& text) {
  return encoder.tokenizer().tokenize({&text, 1}, encoder.max_length()).truncated.empty();
}

/// Where a word of the text ends; a text without spaces has as many words as code points.
std::vector<std::size_t> word_ends(const std::string& text) {
  std::vector<std::size_t> ends;
  const bool has_words = text.find(' ') != std::string::npos;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool begins_point = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (has_words ? text[i] == ' ' : begins_point) ends.push_back(i);
  }
  return ends;
}

}  // namespace

std::string truncated_end(const text_encoder::TextEncoder& encoder, const std::string& prompt) {
  if (fits(encoder, prompt)) return "";
  const std::vector<std::size_t> ends = word_ends(prompt);
  std::size_t low = 0;  // so many words fit
  std::size_t high = ends.size();
  while (low < high) {
    const std::size_t middle = (low + high + 1) / 2;
    if (fits(encoder, prompt.substr(0, ends[middle - 1]))) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const std::string end = low == 0 ? prompt : prompt.substr(ends[low - 1]);
  return end.substr(std::min(end.find_first_not_of(' '), end.size()));
}

}  // namespace crescendo::pipelines
