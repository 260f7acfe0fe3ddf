#include "text_encoder/bert_normalizer.h"

#include <utility>

#include "text_encoder/unicode.h"
#include "text_encoder/utf8.h"

namespace crescendo::text_encoder {

namespace {

std::u32string clean(std::string_view text, bool space_around_ideographs) {
  std::u32string cleaned;
  for (const char32_t character : decode_utf8(text)) {
    const CharacterClass kind = character_class(character);
    if (kind == CharacterClass::kRemoved) continue;
    if (kind == CharacterClass::kSpace) {
      cleaned.push_back(U' ');
    } else if (space_around_ideographs && is_cjk_ideograph(character)) {
      cleaned += {U' ', character, U' '};
    } else {
      cleaned.push_back(character);
    }
  }
  return cleaned;
}

std::u32string without_accents(const std::u32string& text) {
  std::u32string kept;
  for (const char32_t character : decompose(text)) {
    if (character_class(character) != CharacterClass::kNonspacingMark) kept.push_back(character);
  }
  return kept;
}

std::u32string lower_case(const std::u32string& text) {
  std::u32string lowered;
  for (const char32_t character : text) append_lower_case(lowered, character);
  return lowered;
}

}  // namespace

std::vector<std::u32string> bert_words(std::string_view text,
                                       const BertNormalizerOptions& options) {
  std::u32string normalized = clean(text, options.tokenize_chinese_chars);
  if (options.strip_accents) normalized = without_accents(normalized);
  if (options.do_lower_case) normalized = lower_case(normalized);

  std::vector<std::u32string> words;
  std::u32string word;
  const auto finish_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (const char32_t character : normalized) {
    const CharacterClass kind = character_class(character);
    if (kind == CharacterClass::kSpace || kind == CharacterClass::kPunctuation) finish_word();
    if (kind == CharacterClass::kSpace) continue;
    word.push_back(character);
    if (kind == CharacterClass::kPunctuation) finish_word();
  }
  finish_word();
  return words;
}

}  // namespace crescendo::text_encoder
