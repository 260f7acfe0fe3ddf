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

/// A consumed sample that is not delivered yet, and where to read it again.
struct WaitingSample {
  std::uint64_t ordinal = 0;
  LanePosition place{};  ///< of its lane, before it

  bool operator==(const WaitingSample&) const = default;
};

/// Where a run stands in its data. The samples of a run are numbered by ordinals, the same whatever
/// the number of ranks; rank r of W delivers those with ordinal mod W = r.
struct Position {
  /// Sample g is consumed when g < next[g mod next.size()]: one number where there is one rank,
  /// else one for each, because ranks that skip bad samples run ahead of each other.
  std::vector<std::uint64_t> next{0};
  /// Of every source its lanes; none: the beginning.
  std::vector<LanePosition> lanes{};
  /// Those that have not filled a batch of their size yet, by ordinal.
  std::vector<WaitingSample> waiting{};
  std::uint64_t turn = 0;  ///< whose batch comes next (Batcher)

  bool operator==(const Position&) const = default;

  /// Every sample before is consumed.
  std::uint64_t ordinal() const;
  /// Every sample before is consumed, and none of them waits.
  std::uint64_t delivered() const;
  /// Every epoch before is through.
  std::uint64_t epoch() const;
};

}  // namespace crescendo::dataloader
