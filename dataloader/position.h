#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace crescendo::dataloader {

/// Where one lane of the data stands. Samples are counted as they come from the shards, usable or
/// not, so that a resumed run need not decode to know what was delivered.
struct LanePosition {
  std::uint64_t epoch = 0;
  /// Shards of the lane's epoch behind it. Of data read at random: all its samples, by which a
  /// resumed run knows it again.
  std::uint64_t shard = 0;
  std::uint64_t sample = 0;  ///< samples given of this shard; of data read at random, of the epoch

  bool operator==(const LanePosition&) const = default;
};

/// Where a run stands in its data. The samples of a run are numbered by ordinals, the same whatever
/// the number of ranks; rank r of W delivers those with ordinal mod W = r.
struct Position {
  /// Sample g is consumed when g < next[g mod next.size()]: one number where there is one rank,
  /// else one for each, because ranks that skip bad samples run ahead of each other.
  std::vector<std::uint64_t> next{0};
  /// Of every source its lanes; none: the beginning.
  std::vector<LanePosition> lanes{};

  bool operator==(const Position&) const = default;

  /// Every sample before is consumed.
  std::uint64_t ordinal() const;
  /// Every epoch before is through.
  std::uint64_t epoch() const;
};

}  // namespace crescendo::dataloader
