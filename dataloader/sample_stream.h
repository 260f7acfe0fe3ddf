#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "dataloader/indexed_source.h"
#include "dataloader/lane.h"
#include "dataloader/position.h"
#include "dataloader/source.h"

namespace crescendo::dataloader {

/// One step of the stream: a sample, or, for Order::kOnce, the end.
struct StreamItem {
  SampleOrPlace sample;  ///< neither: the end
  std::uint64_t ordinal = 0;
  LanePosition place{};      ///< where it was read
  bool epoch_ended = false;  ///< an epoch was over before this item
  Position after;            ///< where the stream stands behind this item

  bool is_end() const { return std::holds_alternative<std::monostate>(sample); }
  /// The sample, read now if it is not yet. Not of the end.
  RawSample load() &&;
};

/// The order of undecoded samples, a pure function of (sources, seed, streams, buffer): the same
/// for any number of threads and ranks.
///
/// Ordinals go in rounds of L. A round takes all its samples from one source, drawn by weight. An
/// indexed source (shuffled as a whole) gives its next L samples; another gives its samples by up
/// to `streams` lanes, sample j of a round by lane j mod their number. L is the least number that
/// the lanes of each source divide, so that rank r of W, who delivers the ordinals with g mod W =
/// r, reads lanes that no other rank reads.
///
/// The samples that wait at the start come first, read again.
class SampleStream {
 public:
  struct Options {
    std::vector<Source> sources;
    Order order = Order::kShuffled;
    std::uint64_t seed = 0;
    std::size_t streams = 1;
    std::size_t buffer = 1;  ///< samples, for all lanes of a source together
    std::uint64_t max_sample_bytes = 0;
    std::chrono::seconds pipe_timeout = kPipeTimeout;
    std::uint64_t rank = 0;
    std::uint64_t world_size = 1;
  };

  /// Throws UserError when the ranks cannot share the lanes, or the start is of other sources.
  SampleStream(Options options, Position start);
  SampleStream(const SampleStream&) = delete;
  SampleStream& operator=(const SampleStream&) = delete;

  /// The next item of this rank; nothing only after the end of Order::kOnce. Throws UserError when
  /// the start lies beyond what the shards hold.
  std::optional<StreamItem> next();

  const Options& options() const { return options_; }

  /// What was asked for, complete: where the stream stood before the first item.
  const Position& position() const { return position_; }

  /// The position of the whole run out of those of all its ranks, in their order.
  Position merge(std::span<const Position> ranks) const;

  /// Of a position of this stream only what this rank moves on.
  Position own(const Position& position) const;

  /// Samples read a second time to come to the start.
  std::uint64_t reread() const;

 private:
  /// Of one source: either all samples at random, or lanes.
  struct Reader {
    std::optional<IndexedSource> indexed;
    std::vector<Lane> lanes;
    std::size_t first = 0;  ///< of its lanes in Position::lanes
  };

  std::size_t lanes_of(const Source& source) const;
  void check_ranks() const;
  void check_start(std::size_t lanes);
  void open_readers(std::size_t lanes);
  static void check_indexed(const Reader& reader, const LanePosition& place);
  void open_indexed(Reader& reader, const Source& source, std::uint64_t number);
  void open_lanes(Reader& reader, Lane::Options shared);
  std::size_t choose_source(std::uint64_t round) const;
  bool is_mine(std::uint64_t ordinal) const;
  std::size_t lane_of(const Reader& reader, std::uint64_t ordinal) const;
  StreamItem next_waiting();
  SampleOrPlace read_again(const WaitingSample& sample);
  void return_lanes();
  void take_indexed(Reader& reader, bool mine, StreamItem& item);
  void take_from_lane(Reader& reader, bool mine, StreamItem& item);
  bool enter_epoch(std::size_t lane, std::uint64_t epoch);
  void consume(std::uint64_t ordinal);

  Options options_;
  Position start_;
  Position position_;
  std::vector<Reader> readers_;  ///< of each source
  std::uint64_t round_size_ = 1;
  std::uint64_t ordinal_ = 0;          ///< the next to look at
  std::vector<std::uint64_t> epochs_;  ///< of each lane's last sample here
  bool over_ = false;
};

}  // namespace crescendo::dataloader
