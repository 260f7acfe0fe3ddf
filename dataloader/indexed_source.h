#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/random.h"
#include "dataloader/indexed_shard.h"
#include "dataloader/source.h"

namespace crescendo::dataloader {

/// A sample still to be read, by whoever wants it.
struct SamplePlace {
  const IndexedShard* shard;
  std::uint64_t number;
};

/// A sample, or where to read it; or neither.
using SampleOrPlace = std::variant<std::monostate, RawSample, SamplePlace>;

/// All samples of indexed shards in a random order, another each epoch: a permutation of the whole.
/// Any place of it is found at once, so there is nothing to skip on a resume.
class IndexedSource {
 public:
  /// `source` and `sources` number the order's random stream; `shards` must outlive it.
  IndexedSource(const Source& shards, std::uint64_t seed, std::uint64_t source,
                std::uint64_t sources, std::uint64_t max_sample_bytes);

  std::uint64_t size() const { return ends_.back(); }

  /// Sample `i` of an epoch: its place, or itself with a defect when its shard cannot be opened.
  SampleOrPlace at(std::uint64_t epoch, std::uint64_t i);

 private:
  const Source& shards_;
  std::uint64_t seed_;
  std::uint64_t source_;
  std::uint64_t sources_;
  std::uint64_t max_sample_bytes_;
  std::vector<std::uint64_t> ends_;   ///< samples up to the end of each shard
  std::unique_ptr<OpenFiles> files_;  ///< at a place that the shards keep to
  std::vector<std::unique_ptr<IndexedShard>> open_;
};

}  // namespace crescendo::dataloader
