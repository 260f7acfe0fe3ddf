#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text_encoder/vocabulary.h"

namespace crescendo::text_encoder {

/// Two neighbouring pieces that become one, the more frequent before the less.
using Merges = std::vector<std::pair<std::string, std::string>>;

/// Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019) with CLIP's "</w>" at
/// the end of a word: a word is its bytes, and neighbours merge until no pair of the list is left.
class BytePairs {
 public:
  /// `where` names the merges in errors. Throws DataError when a piece is not in the vocabulary.
  /// A byte that the vocabulary lacks becomes `unknown`.
  BytePairs(const Vocabulary& vocabulary, const Merges& merges, std::int64_t unknown,
            const std::string& where);

  void append_ids(std::string_view word, std::vector<std::int64_t>& ids) const;

 private:
  struct Merge {
    std::int64_t rank = 0;  ///< the lowest goes first
    std::int64_t result = 0;
  };

  const Merge* find(std::int64_t left, std::int64_t right) const;

  std::array<std::int64_t, 256> inner_{};  ///< id of a byte
  std::array<std::int64_t, 256> final_{};  ///< id of a byte that ends a word
  std::unordered_map<std::uint64_t, Merge> merges_;
};

/// A byte as vocabularies write it: printable characters of Latin-1 as they are, the other 68 bytes
/// in order as those from U+0100.
std::string byte_symbol(std::uint8_t byte);

}  // namespace crescendo::text_encoder
