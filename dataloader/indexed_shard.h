#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "dataloader/open_files.h"
#include "dataloader/sample_reader.h"
#include "dataloader/shard_index.h"

namespace crescendo::dataloader {

/// The samples of an indexed shard by number. Of the index it keeps only where each line is (eight
/// bytes a sample), and its files are open only as `files` allows, so that a run may have any
/// number of shards. Safe to read from several threads at once.
class IndexedShard {
 public:
  /// Reads the index's lines. Throws DataError when it does not belong to the shard. `number` is of
  /// the shard among those that share `files`, which must outlive it.
  IndexedShard(std::filesystem::path shard, std::uint64_t max_sample_bytes, OpenFiles& files,
               std::uint64_t number = 0);

  std::uint64_t size() const { return lines_.size() - 1; }

  /// The sample of that number, below size(). Whatever is wrong with it, or with the files since
  /// they were opened, is its defect.
  RawSample read(std::uint64_t number) const;

 private:
  std::filesystem::path shard_;
  std::uint64_t max_sample_bytes_;
  OpenFiles& files_;
  std::uint64_t number_;
  std::uint64_t shard_bytes_;
  std::vector<std::uint64_t> lines_;  ///< where the line of each sample begins, and the last ends
};

/// Reads the members that an index names, out of file `number` of `files`. When they are not what
/// it tells, too large together or two of one suffix, the sample has a defect, as SampleReader's
/// have.
RawSample read_indexed_sample(const std::filesystem::path& shard, const IndexedSample& sample,
                              std::uint64_t max_sample_bytes, OpenFiles& files,
                              std::uint64_t number);

}  // namespace crescendo::dataloader
