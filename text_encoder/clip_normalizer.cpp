#include "text_encoder/clip_normalizer.h"

#include <array>
#include <cstddef>

#include "text_encoder/unicode.h"
#include "text_encoder/utf8.h"

namespace crescendo::text_encoder {

namespace {

constexpr std::array<std::u32string_view, 7> kEndings = {U"'s", U"'t",  U"'re", U"'ve",
                                                         U"'m", U"'ll", U"'d"};

/// The parts into which the second of the reference's two patterns cuts what the first one kept.
struct SpecialName {
  std::u32string_view name;
  std::size_t letters;  ///< between "<|" and "|>"
};
constexpr std::array kSpecialNames = {SpecialName{U"<|startoftext|>", 11},
                                      SpecialName{U"<|endoftext|>", 9}};

std::size_t length_of_ending(std::u32string_view text) {
  for (const std::u32string_view ending : kEndings) {
    if (text.starts_with(ending)) return ending.size();
  }
  return 0;
}

std::size_t letters_of_special_name(std::u32string_view text) {
  for (const auto& [name, letters] : kSpecialNames) {
    if (text.starts_with(name)) return letters;
  }
  return 0;
}

/// How many characters of `text` make its first word; it begins neither with an ending nor a space.
std::size_t length_of_run(std::u32string_view text) {
  const WordClass kind = word_class(text.front());
  if (kind == WordClass::kNumber) return 1;
  std::size_t length = 1;
  while (length < text.size() && word_class(text[length]) == kind) ++length;
  return length;
}

std::string to_utf8(std::u32string_view text) {
  std::string bytes;
  for (const char32_t character : text) append_utf8(bytes, character);
  return bytes;
}

}  // namespace

std::string clip_normalize(std::string_view text) {
  std::u32string normalized;
  bool after_space = false;
  for (const char32_t character : compose(decode_utf8(text))) {
    const bool is_space = word_class(character) == WordClass::kSpace;
    if (!is_space) {
      append_lower_case(normalized, character);
    } else if (!after_space) {
      normalized.push_back(U' ');
    }
    after_space = is_space;
  }
  return to_utf8(normalized);
}

std::vector<std::string> clip_words(std::string_view normalized) {
  const std::u32string text = decode_utf8(normalized);
  std::u32string_view rest = text;
  std::vector<std::string> words;
  const auto take = [&](std::size_t length) {
    words.push_back(to_utf8(rest.substr(0, length)));
    rest.remove_prefix(length);
  };
  while (!rest.empty()) {
    if (const std::size_t letters = letters_of_special_name(rest); letters > 0) {
      take(2);
      take(letters);
      take(2);
    } else if (const std::size_t ending = length_of_ending(rest); ending > 0) {
      take(ending);
    } else if (word_class(rest.front()) == WordClass::kSpace) {
      rest.remove_prefix(1);
    } else {
      take(length_of_run(rest));
    }
  }
  return words;
}

}  // namespace crescendo::text_encoder
