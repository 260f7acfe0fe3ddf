#include "dataloader/indexed_source.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

constexpr std::size_t kMaxOpenFiles = 256;  // a process may have 1024 on most systems

}  // namespace

IndexedSource::IndexedSource(const Source& shards, std::uint64_t seed, std::uint64_t source,
                             std::uint64_t sources, std::uint64_t max_sample_bytes)
    : shards_(shards),
      seed_(seed),
      source_(source),
      sources_(sources),
      max_sample_bytes_(max_sample_bytes),
      ends_(shards.counts.size()),
      files_(std::make_unique<OpenFiles>(kMaxOpenFiles)),
      open_(shards.counts.size()) {
  std::partial_sum(shards.counts.begin(), shards.counts.end(), ends_.begin());
  if (size() == 0) {
    throw UserError("data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
  }
}

SampleOrPlace IndexedSource::at(std::uint64_t epoch, std::uint64_t i) {
  const RandomPermutation order(size(), seed_, Purpose::kSampleOrder, epoch * sources_ + source_);
  const std::uint64_t sample = order[i];
  const auto shard =
      static_cast<std::size_t>(std::ranges::upper_bound(ends_, sample) - ends_.begin());
  try {
    if (!open_[shard]) {
      open_[shard] =
          std::make_unique<IndexedShard>(shards_.shards[shard], max_sample_bytes_, *files_, shard);
    }
  } catch (const UserError& failure) {
    return RawSample{"", shards_.shards[shard], {}, Defect{"damaged shard", failure.what()}};
  }
  const std::uint64_t number = sample - (ends_[shard] - shards_.counts[shard]);
  if (number < open_[shard]->size()) return SamplePlace{open_[shard].get(), number};
  return RawSample{"", shards_.shards[shard], {}, Defect{"damaged shard", "its index was changed"}};
}

}  // namespace crescendo::dataloader
