#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataloader/position.h"
#include "dataloader/shuffled_shard.h"

namespace crescendo::dataloader {

enum class Order {
  kShuffled,  ///< endless: epoch after epoch, each in its own order
  kOnce,      ///< one pass in the order of the shards
};

/// One of several lanes that read a source's shards front to back. Each epoch deals the shards anew
/// to the lanes; a lane reads its own one after another, shuffled within each, and goes on to its
/// next epoch without waiting for the others. So its place is an epoch, a shard and a count, and
/// only the current shard is read again to come back to it.
class Lane {
 public:
  struct Options {
    std::span<const std::string> shards{};  ///< of the source; must outlive the lane
    Order order = Order::kShuffled;
    std::uint64_t seed = 0;
    std::uint64_t source = 0;       ///< number of the source,
    std::uint64_t sources = 1;      ///< of so many
    std::uint64_t first_shard = 0;  ///< shards of the sources before
    std::uint64_t all_shards = 0;   ///< shards of all sources
    std::size_t lane = 0;           ///< number of the lane,
    std::size_t lanes = 1;          ///< of so many, at most as many as shards
    ShuffledShard::Limits limits{};
  };

  Lane(const Options& options, const LanePosition& start);

  /// The next sample; nothing only after the pass of Order::kOnce. Throws UserError when the start
  /// lies beyond what the shards hold, or when they hold nothing at all.
  std::optional<RawSample> next();

  /// The sample at a place that the lane has been at. Then next() gives the one behind it. Throws
  /// UserError when there is none any more.
  RawSample read_again(const LanePosition& place);

  /// To the place where the next sample is to be read. Reads on to it where it can.
  void move_to(const LanePosition& place);

  /// Behind the last sample.
  const LanePosition& position() const { return position_; }

  /// Samples read a second time to come to the start.
  std::uint64_t reread() const { return reread_; }

 private:
  void begin_epoch();
  bool open_shard();
  void skip_to_start();
  [[noreturn]] void fail_beyond() const;

  Options options_;
  LanePosition position_;
  std::uint64_t to_skip_;
  std::uint64_t reread_ = 0;
  std::vector<std::uint32_t> shard_order_;  ///< of the lane's epoch
  std::unique_ptr<ShuffledShard> shard_;
};

}  // namespace crescendo::dataloader
