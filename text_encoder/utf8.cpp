#include "text_encoder/utf8.h"

#include <cstddef>
#include <cstdint>

namespace crescendo::text_encoder {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// What may follow a lead byte (the Unicode Standard, table 3-7). Length 0: not a lead byte.
struct Lead {
  std::size_t length = 0;
  char32_t bits = 0;
  std::uint8_t second_from = 0x80;
  std::uint8_t second_to = 0xBF;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1, byte};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {2, byte & 0x1FU};
  if (byte < 0xF0) {
    const std::uint8_t from = byte == 0xE0 ? 0xA0 : 0x80;  // no overlong forms
    const std::uint8_t to = byte == 0xED ? 0x9F : 0xBF;    // no surrogates
    return {3, byte & 0x0FU, from, to};
  }
  if (byte < 0xF5) {
    const std::uint8_t from = byte == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t to = byte == 0xF4 ? 0x8F : 0xBF;  // nothing past U+10FFFF
    return {4, byte & 0x07U, from, to};
  }
  return {};
}

}  // namespace

std::u32string decode_utf8(std::string_view bytes) {
  std::u32string characters;
  characters.reserve(bytes.size());
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Lead lead = lead_of(static_cast<std::uint8_t>(bytes[at++]));
    char32_t character = lead.bits;
    std::size_t read = 1;
    for (; read < lead.length && at < bytes.size(); ++read, ++at) {
      const auto next = static_cast<std::uint8_t>(bytes[at]);
      const std::uint8_t from = read == 1 ? lead.second_from : 0x80;
      const std::uint8_t to = read == 1 ? lead.second_to : 0xBF;
      if (next < from || next > to) break;
      character = (character << 6) | (next & 0x3FU);
    }
    characters.push_back(read == lead.length ? character : kReplacement);
  }
  return characters;
}

void append_utf8(std::string& text, char32_t character) {
  const auto tail = [&](unsigned shift) {
    text.push_back(static_cast<char>(0x80U | ((character >> shift) & 0x3FU)));
  };
  if (character < 0x80) {
    text.push_back(static_cast<char>(character));
  } else if (character < 0x800) {
    text.push_back(static_cast<char>(0xC0U | (character >> 6)));
    tail(0);
  } else if (character < 0x10000) {
    text.push_back(static_cast<char>(0xE0U | (character >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xF0U | (character >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace crescendo::text_encoder
