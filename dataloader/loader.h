#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "dataloader/batch.h"
#include "dataloader/batcher.h"
#include "dataloader/options.h"
#include "dataloader/ordered_pool.h"
#include "dataloader/report.h"
#include "dataloader/sample_decoder.h"
#include "dataloader/sample_stream.h"

namespace crescendo::dataloader {

/// Which share of the samples is read here.
struct Ranks {
  std::uint64_t rank = 0;
  std::uint64_t world_size = 1;
};

/// Batches of decoded samples from tar shards. What comes, and in what order, is a function of
/// (options, seed, start, rank) alone: not of workers or prefetch, nor, without buckets, of the
/// batch size; and all ranks together deliver what one would. Samples that cannot be used are
/// skipped, counted, logged by name (the first 20) and, past data.max_bad_fraction, the end.
class Loader {
 public:
  /// Finds the shards and starts the threads. Throws UserError for options that cannot be met.
  Loader(const DataOptions& options, const Need& need, std::size_t batch_size, std::uint64_t seed,
         Order order, const Position& start = {}, const Ranks& ranks = {});

  /// The next batch: always full when shuffled, running across the ends of epochs; the last one of
  /// Order::kOnce may be short, then nothing follows; with buckets others of it may be too, so that
  /// no sample waits for long. Throws UserError when too many samples are unusable or an epoch has
  /// none to use; what a worker throws comes out here.
  std::optional<Batch> next();

  /// Where the next batch begins: a Loader that starts there goes on as this one does. With several
  /// ranks, the positions of all are to be merged.
  Position position() const;
  Position merge(std::span<const Position> ranks) const { return stream_.merge(ranks); }

  /// Of position() only what this rank moves on.
  Position own_position() const { return stream_.own(position()); }

  /// Of the log: what there is to read, and what an epoch is, at so many samples a step.
  std::string describe(std::uint64_t samples_per_step) const;

  /// The samples of an epoch; nothing where there is no index that tells, or several sources.
  std::optional<std::uint64_t> epoch_samples() const;

  const Report& report() const { return bad_samples_.report(); }

 private:
  struct End {};
  struct Bad {
    std::string shard;
    std::string key;
    Defect defect;
  };
  struct Outcome {
    std::variant<Sample, Bad, End> what;
    LanePosition place{};
    bool epoch_ended = false;
    Position after;
  };
  static Outcome decode(const SampleDecoder& decoder, StreamItem item);
  void take(Outcome outcome);

  Batcher batcher_;
  bool whole_epoch_;
  BadSamples bad_samples_;
  SampleDecoder decoder_;
  SampleStream stream_;
  Position position_;                      ///< behind what was handed to the batcher
  OrderedPool<StreamItem, Outcome> pool_;  ///< last: its threads use the decoder and stream
};

}  // namespace crescendo::dataloader
