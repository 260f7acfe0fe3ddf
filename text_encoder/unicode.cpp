#include "text_encoder/unicode.h"

#include <algorithm>
#include <array>
#include <vector>

#include <utf8proc.h>

namespace crescendo::text_encoder {

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

/// Every mark, format and punctuation character that came after Unicode 8 lies in one of these,
/// and none that came before does.
constexpr std::array kNewerThanReference = {
    Range{0x61D, 0x61D},     Range{0x7FD, 0x7FD},     Range{0x890, 0x8E2},
    Range{0x9FD, 0x9FE},     Range{0xA76, 0xA76},     Range{0xAFA, 0xAFF},
    Range{0xB55, 0xB55},     Range{0xC04, 0xC3C},     Range{0xC77, 0xC77},
    Range{0xC84, 0xC84},     Range{0xD00, 0xD00},     Range{0xD3B, 0xD3C},
    Range{0xD81, 0xD81},     Range{0xEBA, 0xEBA},     Range{0xECE, 0xECE},
    Range{0x180F, 0x1886},   Range{0x1ABF, 0x1ACE},   Range{0x1B7D, 0x1B7E},
    Range{0x1DF6, 0x1DFB},   Range{0x2E43, 0x2E5D},   Range{0xA82C, 0xA82C},
    Range{0xA8C5, 0xA8C5},   Range{0xA8FF, 0xA8FF},   Range{0xA9BD, 0xA9BD},
    Range{0x10D24, 0x10F89}, Range{0x11070, 0x11074}, Range{0x110C2, 0x110CD},
    Range{0x111CF, 0x111CF}, Range{0x1123E, 0x11241}, Range{0x1133B, 0x1133B},
    Range{0x11438, 0x1145E}, Range{0x11660, 0x1166C}, Range{0x116B9, 0x116B9},
    Range{0x1182F, 0x11FFF}, Range{0x12FF1, 0x13455}, Range{0x16E97, 0x16F4F},
    Range{0x16FE2, 0x16FE4}, Range{0x1CF00, 0x1CF46}, Range{0x1E000, 0x1E4EF},
    Range{0x1E944, 0x1E95F},
};

/// Every character that came after Unicode 9 and decomposes or has a combining class lies in one of
/// these, and none that came before does. The reference's normalisation leaves them as they are.
constexpr std::array kNewerThanNormalisation = {
    Range{0x7FD, 0x7FD},     Range{0x897, 0x8D3},     Range{0x9FE, 0x9FE},
    Range{0xC3C, 0xC3C},     Range{0xD3B, 0xD3C},     Range{0xEBA, 0xEBA},
    Range{0x1715, 0x1715},   Range{0x1ABF, 0x1AEB},   Range{0x1DF6, 0x1DFA},
    Range{0xA82C, 0xA82C},   Range{0x105C9, 0x105E4}, Range{0x10D24, 0x10F85},
    Range{0x11070, 0x11070}, Range{0x1133B, 0x1133B}, Range{0x11383, 0x113E2},
    Range{0x1145E, 0x1145E}, Range{0x11839, 0x11A99}, Range{0x11D42, 0x1612F},
    Range{0x16D63, 0x16FF1}, Range{0x1E08F, 0x1E6F5},
};

constexpr std::array kCjkIdeographs = {
    Range{0x3400, 0x4DBF},   Range{0x4E00, 0x9FFF},   Range{0xF900, 0xFAFF},
    Range{0x20000, 0x2A6DF}, Range{0x2A700, 0x2B81F}, Range{0x2B920, 0x2CEAF},
    Range{0x2F800, 0x2FA1F},
};

/// Letters and numbers of Unicode 15.1 and 16, which the utf8proc of a distribution may not know.
constexpr std::array kNewLetters = {
    Range{0x1C89, 0x1C8A},   Range{0xA7CB, 0xA7CD},   Range{0xA7DA, 0xA7DC},
    Range{0x105C0, 0x105F3}, Range{0x10D4A, 0x10D65}, Range{0x10D6F, 0x10D85},
    Range{0x10EC2, 0x10EC4}, Range{0x11380, 0x11389}, Range{0x1138B, 0x1138B},
    Range{0x1138E, 0x1138E}, Range{0x11390, 0x113B5}, Range{0x113B7, 0x113B7},
    Range{0x113D1, 0x113D1}, Range{0x113D3, 0x113D3}, Range{0x11BC0, 0x11BE0},
    Range{0x13460, 0x143FA}, Range{0x16100, 0x1611D}, Range{0x16D40, 0x16D6C},
    Range{0x18CFF, 0x18CFF}, Range{0x1E5D0, 0x1E5ED}, Range{0x1E5F0, 0x1E5F0},
    Range{0x2EBF0, 0x2EE5D},
};
constexpr std::array kNewNumbers = {
    Range{0x10D40, 0x10D49}, Range{0x116D0, 0x116E3}, Range{0x11BF0, 0x11BF9},
    Range{0x16130, 0x16139}, Range{0x16D70, 0x16D79}, Range{0x1CCF0, 0x1CCF9},
    Range{0x1E5F1, 0x1E5FA},
};

/// Capitals of Unicode 16 and 17, with the first one's lower-case form.
struct Capitals {
  Range range;
  char32_t lower;
};
constexpr std::array kNewCapitals = {
    Capitals{{0x1C89, 0x1C89}, 0x1C8A},    Capitals{{0xA7CB, 0xA7CB}, 0x264},
    Capitals{{0xA7CC, 0xA7CC}, 0xA7CD},    Capitals{{0xA7CE, 0xA7CE}, 0xA7CF},
    Capitals{{0xA7D2, 0xA7D2}, 0xA7D3},    Capitals{{0xA7D4, 0xA7D4}, 0xA7D5},
    Capitals{{0xA7DA, 0xA7DA}, 0xA7DB},    Capitals{{0xA7DC, 0xA7DC}, 0x19B},
    Capitals{{0x10D50, 0x10D65}, 0x10D70}, Capitals{{0x16EA0, 0x16EB8}, 0x16EBB},
};

template <std::size_t N>
bool contains(const std::array<Range, N>& ranges, char32_t character) {
  const auto range =
      std::lower_bound(ranges.begin(), ranges.end(), character,
                       [](const Range& r, char32_t wanted) { return r.last < wanted; });
  return range != ranges.end() && range->first <= character;
}

bool is_ascii_punctuation(char32_t character) {
  return (character >= '!' && character <= '/') || (character >= ':' && character <= '@') ||
         (character >= '[' && character <= '`') || (character >= '{' && character <= '~');
}

CharacterClass class_of_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
      return CharacterClass::kRemoved;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharacterClass::kSpace;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return CharacterClass::kPunctuation;
    case UTF8PROC_CATEGORY_MN:
      return CharacterClass::kNonspacingMark;
    default:
      return CharacterClass::kOther;
  }
}

}  // namespace

CharacterClass character_class(char32_t character) {
  switch (character) {
    case '\t':
    case '\n':
    case '\r':
      return CharacterClass::kSpace;
    case 0xFFFD:
      return CharacterClass::kRemoved;
    // Of another category since Unicode 8.
    case 0x166D:
    case 0x111C9:
      return CharacterClass::kPunctuation;
    case 0x1734:
      return CharacterClass::kNonspacingMark;
    default:
      break;
  }
  if (is_ascii_punctuation(character)) return CharacterClass::kPunctuation;
  if (contains(kNewerThanReference, character)) return CharacterClass::kOther;
  return class_of_category(utf8proc_category(static_cast<utf8proc_int32_t>(character)));
}

bool is_cjk_ideograph(char32_t character) { return contains(kCjkIdeographs, character); }

WordClass word_class(char32_t character) {
  if ((character >= '\t' && character <= '\r') || character == 0x85) return WordClass::kSpace;
  if (contains(kNewLetters, character)) return WordClass::kLetter;
  if (contains(kNewNumbers, character)) return WordClass::kNumber;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(character))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return WordClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return WordClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return WordClass::kSpace;
    default:
      return WordClass::kOther;
  }
}

std::u32string decompose(const std::u32string& text) {
  // utf8proc wants a terminated string or a length, in UTF-8; its per-character form does not
  // reorder marks, so that is done here.
  std::u32string decomposed;
  decomposed.reserve(text.size());
  std::array<utf8proc_int32_t, 8> buffer{};
  int boundary = UTF8PROC_BOUNDCLASS_START;
  for (const char32_t character : text) {
    if (contains(kNewerThanNormalisation, character)) {
      decomposed.push_back(character);
      continue;
    }
    const auto count = utf8proc_decompose_char(
        static_cast<utf8proc_int32_t>(character), buffer.data(),
        static_cast<utf8proc_ssize_t>(buffer.size()), UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      decomposed.push_back(static_cast<char32_t>(buffer[static_cast<std::size_t>(i)]));
    }
  }
  const auto combining = [](char32_t character) {
    if (contains(kNewerThanNormalisation, character)) return utf8proc_propval_t{0};
    return utf8proc_get_property(static_cast<utf8proc_int32_t>(character))->combining_class;
  };
  for (auto run = decomposed.begin(); run != decomposed.end();) {
    const auto end =
        std::find_if(run, decomposed.end(), [&](char32_t c) { return combining(c) == 0; });
    std::stable_sort(run, end, [&](char32_t a, char32_t b) { return combining(a) < combining(b); });
    run = end == decomposed.end() ? end : end + 1;
  }
  return decomposed;
}

std::u32string compose(const std::u32string& text) {
  // utf8proc 2.8 drops this one after a Hangul syllable. It composes with nothing, so that the
  // parts between are composed alone.
  constexpr char32_t kNoFinalConsonant = 0x11A7;
  std::u32string composed;
  std::vector<utf8proc_int32_t> part;
  const auto finish_part = [&] {
    const auto length = utf8proc_normalize_utf32(
        part.data(), static_cast<utf8proc_ssize_t>(part.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    for (utf8proc_ssize_t i = 0; i < length; ++i) {
      composed.push_back(static_cast<char32_t>(part[static_cast<std::size_t>(i)]));
    }
    part.clear();
  };
  for (const char32_t character : decompose(text)) {
    const bool is_newer = contains(kNewerThanNormalisation, character);
    if (is_newer || character == kNoFinalConsonant) finish_part();
    if (is_newer) {
      composed.push_back(character);
    } else {
      part.push_back(static_cast<utf8proc_int32_t>(character));
    }
  }
  finish_part();
  return composed;
}

void append_lower_case(std::u32string& text, char32_t character) {
  constexpr char32_t kCapitalIWithDot = 0x130;
  if (character == kCapitalIWithDot) {
    text += U"i\u0307";
    return;
  }
  for (const auto& [range, lower] : kNewCapitals) {
    if (character >= range.first && character <= range.last) {
      text.push_back(lower + (character - range.first));
      return;
    }
  }
  text.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
}

}  // namespace crescendo::text_encoder
