#include "dataloader/sample_stream.h"

#include <numeric>
#include <utility>

namespace crescendo::dataloader {

namespace {

constexpr std::uint64_t kMaxBufferedBytes = std::uint64_t{1} << 30;

}  // namespace

struct SampleStream::OpenShard {
  OpenShard(const std::string& path, std::uint64_t max_sample_bytes)
      : archive(path), samples(archive, max_sample_bytes) {}

  TarReader archive;
  SampleReader samples;
};

SampleStream::SampleStream(Options options, const Position& start)
    : options_(std::move(options)), position_(start), to_skip_(start.sample) {
  position_.sample = 0;
  begin_epoch();
}

SampleStream::~SampleStream() = default;

void SampleStream::begin_epoch() {
  const auto count = static_cast<std::uint32_t>(options_.shards.size());
  if (options_.order == Order::kShuffled) {
    shard_order_ = random_permutation(count, options_.seed, Purpose::kShardOrder, position_.epoch);
    random_.emplace(options_.seed, Purpose::kSampleOrder, position_.epoch);
  } else {
    shard_order_.resize(count);
    std::iota(shard_order_.begin(), shard_order_.end(), 0U);
  }
  next_shard_ = 0;
}

std::optional<StreamItem> SampleStream::next() {
  if (over_) return std::nullopt;
  std::optional<RawSample> sample = draw();
  for (; sample && to_skip_ > 0; --to_skip_) {
    ++position_.sample;
    sample = draw();
  }
  if (to_skip_ > 0) {
    throw UserError(
        "data.shards: the run was at sample {} of epoch {}, but the shards hold {}; they have "
        "changed since, resume with the data that the run began with",
        position_.sample + to_skip_, position_.epoch, position_.sample);
  }
  StreamItem item{std::move(sample), position_.ordinal, {}};
  if (item.sample) {
    ++position_.sample;
    ++position_.ordinal;
  } else {
    position_ = {position_.epoch + 1, 0, position_.ordinal};
    over_ = options_.order == Order::kOnce;
    begin_epoch();
  }
  item.after = position_;
  return item;
}

std::optional<RawSample> SampleStream::draw() {
  if (options_.order == Order::kOnce) return read();
  while (buffer_.size() < options_.buffer && buffered_bytes_ < kMaxBufferedBytes) {
    std::optional<RawSample> sample = read();
    if (!sample) break;
    buffered_bytes_ += sample->byte_count();
    buffer_.push_back(std::move(*sample));
  }
  if (buffer_.empty()) return std::nullopt;
  std::swap(buffer_[random_->below(buffer_.size())], buffer_.back());
  RawSample drawn = std::move(buffer_.back());
  buffer_.pop_back();
  buffered_bytes_ -= drawn.byte_count();
  return drawn;
}

std::optional<RawSample> SampleStream::read() {
  for (;;) {
    if (!shard_ && next_shard_ == shard_order_.size()) return std::nullopt;
    try {
      if (!shard_) {
        const std::string& path = options_.shards[shard_order_[next_shard_++]];
        shard_ = std::make_unique<OpenShard>(path, options_.max_sample_bytes);
      }
      if (std::optional<RawSample> sample = shard_->samples.next()) return sample;
      shard_.reset();
    } catch (const UserError& failure) {
      shard_.reset();
      const std::string& path = options_.shards[shard_order_[next_shard_ - 1]];
      return RawSample{"", path, {}, Defect{"damaged shard", failure.what()}};
    }
  }
}

}  // namespace crescendo::dataloader
