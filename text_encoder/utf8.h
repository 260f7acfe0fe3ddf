#pragma once

#include <string>
#include <string_view>

namespace crescendo::text_encoder {

/// The characters of `bytes`. Each maximal ill-formed part becomes one U+FFFD (the Unicode
/// Standard, 3.9, "substitution of maximal subparts"), as Python's bytes.decode(errors="replace").
std::u32string decode_utf8(std::string_view bytes);

/// Appends the UTF-8 form of one character.
void append_utf8(std::string& text, char32_t character);

}  // namespace crescendo::text_encoder
