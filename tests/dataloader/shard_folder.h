#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "dataloader/shard_index.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

/// Shards of samples "S-N" (shard, number) of a small image and a caption, in a temporary folder.
class ShardFolder {
 public:
  /// One shard for each of `sizes`, with so many samples.
  explicit ShardFolder(const std::vector<std::size_t>& sizes) {
    const std::string image = text_of(read_data("baseline.jpg"));
    for (const std::size_t size : sizes) {
      TarBytes tar;
      for (std::size_t i = 0; i < size; ++i) {
        const std::string key = std::to_string(shards_.size()) + "-" + std::to_string(i);
        tar.add(key + ".jpg", image).add(key + ".txt", "caption of " + key);
        keys_.push_back(key);
      }
      add(tar.end().bytes());
    }
  }

  void add(const Bytes& shard) {
    const auto path = folder_ / (std::to_string(shards_.size()) + ".tar");
    write_bytes(path, shard);
    shards_.push_back(path.string());
  }

  /// Puts an index beside every shard.
  void index() const {
    for (const std::string& shard : shards_) write_shard_index(shard, index_shard(shard));
  }

  const std::vector<std::string>& shards() const { return shards_; }
  /// Of the sizes given at first, in order.
  const std::vector<std::string>& keys() const { return keys_; }

 private:
  TemporaryFolder folder_;
  std::vector<std::string> shards_;
  std::vector<std::string> keys_;
};

}  // namespace crescendo::dataloader
