#include "dataloader/shuffled_shard.h"

#include <utility>

namespace crescendo::dataloader {

struct ShuffledShard::Archive {
  Archive(const std::string& path, const Limits& limits)
      : archive(path, limits.pipe_timeout), samples(archive, limits.max_sample_bytes) {}

  TarReader archive;
  SampleReader samples;
};

ShuffledShard::ShuffledShard(std::string path, const Limits& limits, RandomStream random)
    : path_(std::move(path)), limits_(limits), random_(random) {}

ShuffledShard::~ShuffledShard() = default;

std::optional<RawSample> ShuffledShard::next() {
  while (buffer_.size() < limits_.buffer && buffered_bytes_ <= limits_.buffer_bytes) {
    std::optional<RawSample> sample = read();
    if (!sample) break;
    buffered_bytes_ += sample->byte_count();
    buffer_.push_back(std::move(*sample));
  }
  if (buffer_.empty()) return std::nullopt;
  std::swap(buffer_[random_.below(buffer_.size())], buffer_.back());
  RawSample drawn = std::move(buffer_.back());
  buffer_.pop_back();
  buffered_bytes_ -= drawn.byte_count();
  return drawn;
}

std::optional<RawSample> ShuffledShard::read() {
  if (ended_) return std::nullopt;
  try {
    if (!archive_) archive_ = std::make_unique<Archive>(path_, limits_);
    std::optional<RawSample> sample = archive_->samples.next();
    if (sample) return sample;
  } catch (const UserError& failure) {
    ended_ = true;
    archive_.reset();
    return RawSample{"", path_, {}, Defect{"damaged shard", failure.what()}};
  }
  ended_ = true;
  archive_.reset();
  return std::nullopt;
}

}  // namespace crescendo::dataloader
