#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "dataloader/batch.h"
#include "dataloader/position.h"
#include "dataloader/sample_decoder.h"

namespace crescendo::dataloader {

/// Gathers the samples of each size into full batches. What does not fill one waits for more of its
/// size, from the next epoch too, so nothing is dropped, repeated or cut to fit.
///
/// So that batches do not depend on the number of ranks, the samples go to `streams` gatherers by
/// ordinal mod streams, and batch b of the run is the next one of gatherer b mod streams. Rank r of
/// W owns those with number mod W = r and gives every W-th batch of the run. Where bad samples hold
/// back a gatherer whose turn it is, full batches of the rank's others wait as well.
class Batcher {
 public:
  struct Options {
    std::size_t batch_size = 1;
    std::uint64_t streams = 1;  ///< a multiple of world_size
    std::uint64_t rank = 0;
    std::uint64_t world_size = 1;
    /// A sample that waits while the ordinals rise by so many goes out in a short batch; 0: it
    /// waits for a full one.
    std::uint64_t longest_wait = 0;
  };

  /// Begins with the batch of gatherer `turn`, or with the first after it that this rank owns.
  /// Throws UserError when the ranks cannot share the gatherers evenly.
  Batcher(const Options& options, std::uint64_t turn);

  /// Takes a sample of this rank, in the order of the ordinals; `place` tells where to read it
  /// again.
  void add(Sample sample, const LanePosition& place);

  /// The next batch, if what it needs was added.
  std::optional<Batch> next();

  /// At the end of all samples: one of the batches that are left, short ones among them.
  std::optional<Batch> flush();

  /// What was added and not given out, by ordinal.
  std::vector<WaitingSample> waiting() const;

  /// The gatherer of the run's next batch, once every rank has given as many as this one.
  std::uint64_t turn() const { return turn_; }

 private:
  struct Gathered {
    Batch batch;
    std::vector<WaitingSample> samples;
  };
  using SizeKey = std::pair<std::int64_t, std::int64_t>;  ///< width, height
  struct Gatherer {
    std::map<SizeKey, Gathered> open;
    std::deque<Gathered> done;
  };

  Gatherer& in_turn();
  void close_overdue(Gatherer& gatherer, std::uint64_t ordinal) const;

  Options options_;
  std::uint64_t turn_;
  std::vector<Gatherer> gatherers_;  ///< this rank's
};

}  // namespace crescendo::dataloader
