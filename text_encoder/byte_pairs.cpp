#include "text_encoder/byte_pairs.h"

#include <cstddef>
#include <functional>
#include <queue>
#include <tuple>

#include "core/error.h"
#include "text_encoder/utf8.h"

namespace crescendo::text_encoder {

namespace {

constexpr const char* kEndOfWord = "</w>";

bool stands_for_itself(std::uint8_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/// Ids are below 2^31.
std::uint64_t key_of(std::int64_t left, std::int64_t right) {
  return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint64_t>(right);
}

constexpr std::ptrdiff_t kNone = -1;
constexpr std::int64_t kMerged = -1;  // the id of what its left neighbour took in

/// A piece of the word, in a list through the vector that holds them.
struct Piece {
  std::int64_t id;
  std::ptrdiff_t previous;
  std::ptrdiff_t next;
};

using Pieces = std::vector<Piece>;

Piece& at(Pieces& pieces, std::ptrdiff_t index) { return pieces[static_cast<std::size_t>(index)]; }

}  // namespace

std::string byte_symbol(std::uint8_t byte) {
  std::string symbol;
  char32_t character = byte;
  if (!stands_for_itself(byte)) {
    character = 0x100;
    for (std::uint8_t before = 0; before < byte; ++before) {
      if (!stands_for_itself(before)) ++character;
    }
  }
  append_utf8(symbol, character);
  return symbol;
}

BytePairs::BytePairs(const Vocabulary& vocabulary, const Merges& merges, std::int64_t unknown,
                     const std::string& where) {
  const auto id_or_unknown = [&](const std::string& symbol) {
    const auto found = vocabulary.find(symbol);
    return found == vocabulary.end() ? unknown : found->second;
  };
  for (std::size_t byte = 0; byte < inner_.size(); ++byte) {
    const std::string symbol = byte_symbol(static_cast<std::uint8_t>(byte));
    inner_[byte] = id_or_unknown(symbol);
    final_[byte] = id_or_unknown(symbol + kEndOfWord);
  }
  const auto required = [&](const std::string& piece, std::int64_t rank) {
    const auto found = vocabulary.find(piece);
    if (found == vocabulary.end()) {
      throw DataError(
          "{}: merge {}: '{}' is missing from the vocabulary of {} tokens. Are both files of one "
          "model?",
          where, rank + 1, piece, vocabulary.size());
    }
    return found->second;
  };
  merges_.reserve(merges.size());
  std::int64_t rank = 0;
  for (const auto& [left, right] : merges) {
    const std::int64_t left_id = required(left, rank);
    const std::int64_t right_id = required(right, rank);
    merges_[key_of(left_id, right_id)] = {rank, required(left + right, rank)};
    ++rank;
  }
}

const BytePairs::Merge* BytePairs::find(std::int64_t left, std::int64_t right) const {
  const auto found = merges_.find(key_of(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairs::append_ids(std::string_view word, std::vector<std::int64_t>& ids) const {
  const auto count = static_cast<std::ptrdiff_t>(word.size());
  Pieces pieces;
  pieces.reserve(word.size());
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const auto byte = static_cast<std::uint8_t>(word[static_cast<std::size_t>(i)]);
    const bool is_last = i + 1 == count;
    pieces.push_back({is_last ? final_[byte] : inner_[byte], i - 1, is_last ? kNone : i + 1});
  }

  using Candidate = std::tuple<std::int64_t, std::ptrdiff_t, std::int64_t>;  // rank, left, result
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](std::ptrdiff_t left) {
    if (left == kNone || at(pieces, left).next == kNone) return;
    const Merge* merge = find(at(pieces, left).id, at(pieces, at(pieces, left).next).id);
    if (merge != nullptr) candidates.emplace(merge->rank, left, merge->result);
  };
  for (std::ptrdiff_t i = 0; i < count; ++i) consider(i);
  while (!candidates.empty()) {
    const auto [rank, index, result] = candidates.top();
    candidates.pop();
    Piece& left = at(pieces, index);
    if (left.id == kMerged || left.next == kNone) continue;
    Piece& right = at(pieces, left.next);
    // As in the reference, a candidate holds as long as the pair there gives the same piece.
    const Merge* merge = find(left.id, right.id);
    if (merge == nullptr || merge->result != result) continue;
    left.id = result;
    left.next = right.next;
    if (right.next != kNone) at(pieces, right.next).previous = index;
    right.id = kMerged;
    consider(left.previous);
    consider(index);
  }
  for (const Piece& piece : pieces) {
    if (piece.id != kMerged) ids.push_back(piece.id);
  }
}

}  // namespace crescendo::text_encoder
