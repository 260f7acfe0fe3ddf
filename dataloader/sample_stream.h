#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/random.h"
#include "dataloader/sample_reader.h"

namespace crescendo::dataloader {

/// Where a run stands in its data. Samples are counted as they come from the shards, usable or not,
/// so that a resumed run need not decode to know what was delivered.
struct Position {
  std::uint64_t epoch = 0;
  std::uint64_t sample = 0;   ///< samples of the epoch already consumed
  std::uint64_t ordinal = 0;  ///< samples of the run already consumed

  bool operator==(const Position&) const = default;
};

enum class Order {
  kShuffled,  ///< endless: epoch after epoch, each in its own order
  kOnce,      ///< one pass in the order of the shards
};

/// One step of the stream: a sample, or the end of an epoch.
struct StreamItem {
  std::optional<RawSample> sample;  ///< nothing: the epoch `after.epoch - 1` is over
  std::uint64_t ordinal = 0;        ///< of the sample
  Position after;                   ///< where the stream stands behind this item
};

/// The order of undecoded samples, a pure function of (shards, seed, epoch, buffer size): shards
/// are permuted, then samples are drawn at random from a buffer that the shards fill (at most
/// `buffer` samples, and at most 1 GiB of them). A damaged shard is one sample with a defect in
/// place of what it still held.
class SampleStream {
 public:
  struct Options {
    std::vector<std::string> shards;
    Order order = Order::kShuffled;
    std::uint64_t seed = 0;
    std::size_t buffer = 1;
    std::uint64_t max_sample_bytes = 0;
  };

  SampleStream(Options options, const Position& start);
  ~SampleStream();

  /// The next item; nothing only after the end of the pass of Order::kOnce. Throws UserError when
  /// the start lies beyond what the shards hold.
  std::optional<StreamItem> next();

 private:
  struct OpenShard;

  void begin_epoch();
  std::optional<RawSample> draw();
  std::optional<RawSample> read();

  Options options_;
  Position position_;
  std::uint64_t to_skip_;
  bool over_ = false;

  // Of the epoch under way.
  std::vector<std::uint32_t> shard_order_;
  std::size_t next_shard_ = 0;
  std::unique_ptr<OpenShard> shard_;
  std::optional<RandomStream> random_;
  std::vector<RawSample> buffer_;
  std::uint64_t buffered_bytes_ = 0;
};

}  // namespace crescendo::dataloader
