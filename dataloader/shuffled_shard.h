#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/random.h"
#include "dataloader/sample_reader.h"

namespace crescendo::dataloader {

/// The samples of one shard, read front to back and drawn at random from a buffer that they fill:
/// a pure function of the shard and the random stream. Damage is one sample with a defect in place
/// of what the shard still held.
class ShuffledShard {
 public:
  struct Limits {
    std::size_t buffer = 1;  ///< samples; 1 keeps the order of the shard
    std::uint64_t buffer_bytes = 0;
    std::uint64_t max_sample_bytes = 0;
    std::chrono::seconds pipe_timeout = kPipeTimeout;
  };

  ShuffledShard(std::string path, const Limits& limits, RandomStream random);
  ~ShuffledShard();

  /// The next sample, or nothing at the end.
  std::optional<RawSample> next();

 private:
  struct Archive;
  std::optional<RawSample> read();

  std::string path_;
  Limits limits_;
  RandomStream random_;
  std::unique_ptr<Archive> archive_;
  bool ended_ = false;
  std::vector<RawSample> buffer_;
  std::uint64_t buffered_bytes_ = 0;
};

}  // namespace crescendo::dataloader
