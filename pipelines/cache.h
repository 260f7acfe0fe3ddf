#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

struct CacheRequest {
  std::filesystem::path config;        ///< of the `train` that will read the cache
  std::vector<std::string> overrides;  ///< "section.key=value"
  std::filesystem::path output;        ///< a folder without shards
  std::string dtype = "float32";       ///< of what is stored
  std::int64_t max_samples = 10'000;   ///< a shard
  bool verify = false;  ///< encode nothing: check the cache in `output` against its sources
};

struct CacheResult {
  std::vector<std::filesystem::path> shards;
  std::uint64_t samples = 0;
};

/// Encodes every sample of the config's data once and writes shards of it, in the order of the
/// source, in batches of a run's size (rounding depends on it), and under its keys:
/// KEY.safetensors with `mean` and `logvar` [C,h,w], not scaled, and for text `context` [L,D];
/// KEY.cls; KEY.txt. `train` with these shards in data.shards needs neither autoencoder nor text
/// encoder for its steps. Several ranks encode each its part of the source's shards, and write
/// shards rank-NNNN-*.tar, whose names are in the order of the source. Throws UserError, also for a
/// cache to be verified that is stale. Collective.
CacheResult cache(const CacheRequest& request, Communicator& ranks = alone());

}  // namespace crescendo::pipelines
