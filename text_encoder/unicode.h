#pragma once

#include <string>

namespace crescendo::text_encoder {

/// The classes of characters that BERT's tokenizer tells apart.
enum class CharacterClass {
  kOther,
  kRemoved,  ///< control, format and private-use characters, U+FFFD
  kSpace,
  kPunctuation,
  kNonspacingMark,
};

/// The class that the reference (Hugging Face tokenizers) gives to a character. Its tables are of
/// Unicode 8: what was assigned later is kOther there, and so it is here.
CharacterClass character_class(char32_t character);

/// Ideographs, which BERT makes words of their own (Hangul and kana are not among them).
bool is_cjk_ideograph(char32_t character);

/// The classes that the patterns of byte-level tokenizers tell apart: \s, \p{L}, \p{N}, the rest.
enum class WordClass { kSpace, kLetter, kNumber, kOther };

/// The class by Unicode 16, as the reference's regular expressions (Oniguruma) have it.
WordClass word_class(char32_t character);

/// Canonical decomposition, NFD.
std::u32string decompose(const std::u32string& text);

/// Canonical composition, NFC.
std::u32string compose(const std::u32string& text);

/// Appends the lower-case form, which is two characters for U+0130 alone.
void append_lower_case(std::u32string& text, char32_t character);

}  // namespace crescendo::text_encoder
