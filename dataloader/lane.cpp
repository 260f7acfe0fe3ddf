#include "dataloader/lane.h"

#include <numeric>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

/// Dealt anew each time, a lane that misses the samples of a source so often will not meet any.
constexpr int kEmptyEpochs = 100;

}  // namespace

Lane::Lane(const Options& options, const LanePosition& start)
    : options_(options), position_(start), to_skip_(start.sample) {
  position_.sample = 0;
  if (options.order == Order::kOnce) options_.limits.buffer = 1;
  begin_epoch();
  if (start.shard > 0 && start.shard >= shard_order_.size()) fail_beyond();
}

void Lane::begin_epoch() {
  const auto count = static_cast<std::uint32_t>(options_.shards.size());
  std::vector<std::uint32_t> all(count);
  if (options_.order == Order::kShuffled) {
    all = random_permutation(count, options_.seed, Purpose::kShardOrder,
                             position_.epoch * options_.sources + options_.source);
  } else {
    std::iota(all.begin(), all.end(), 0U);
  }
  shard_order_.clear();
  for (std::size_t i = options_.lane; i < all.size(); i += options_.lanes) {
    shard_order_.push_back(all[i]);
  }
}

std::optional<RawSample> Lane::next() {
  if (to_skip_ > 0) skip_to_start();
  for (int epochs = 0; epochs < kEmptyEpochs;) {
    if (!shard_ && !open_shard()) {
      position_ = {position_.epoch + 1, 0, 0};
      if (options_.order == Order::kOnce) return std::nullopt;
      begin_epoch();
      ++epochs;
      continue;
    }
    if (std::optional<RawSample> sample = shard_->next()) {
      ++position_.sample;
      return sample;
    }
    shard_.reset();
    position_ = {position_.epoch, position_.shard + 1, 0};
  }
  throw UserError("data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
}

void Lane::move_to(const LanePosition& place) {
  const bool same_shard = place.epoch == position_.epoch && place.shard == position_.shard;
  if (same_shard && place.sample >= position_.sample) {
    to_skip_ = place.sample - position_.sample;
    return;
  }
  const std::uint64_t reread = reread_;
  *this = Lane(options_, place);
  reread_ = reread;
}

RawSample Lane::read_again(const LanePosition& place) {
  move_to(place);
  std::optional<RawSample> sample = next();
  if (sample && position_ == LanePosition{place.epoch, place.shard, place.sample + 1}) {
    return *std::move(sample);
  }
  position_ = place;
  to_skip_ = 1;
  fail_beyond();
}

bool Lane::open_shard() {
  const bool over = options_.order == Order::kOnce && position_.epoch > 0;
  if (over || position_.shard >= shard_order_.size()) return false;
  const std::uint32_t number = shard_order_[position_.shard];
  if (is_standard_input(options_.shards[number]) && position_.epoch > 0) {
    throw UserError(
        "data.shards: '-' is standard input, which can be read only once, and the run needs a "
        "second epoch; expected files, or fewer steps");
  }
  const std::uint64_t key = position_.epoch * options_.all_shards + options_.first_shard + number;
  shard_ = std::make_unique<ShuffledShard>(options_.shards[number], options_.limits,
                                           RandomStream(options_.seed, Purpose::kSampleOrder, key));
  return true;
}

void Lane::skip_to_start() {
  if (shard_ || open_shard()) {
    while (to_skip_ > 0 && shard_->next()) {
      ++position_.sample;
      ++reread_;
      --to_skip_;
    }
  }
  if (to_skip_ > 0) fail_beyond();
}

void Lane::fail_beyond() const {
  throw UserError(
      "data.shards: the run was at sample {} of its shard {} in epoch {}, where there are {}; the "
      "shards or their indices have changed since, resume with the data that the run began with",
      position_.sample + to_skip_, position_.shard + 1, position_.epoch, position_.sample);
}

}  // namespace crescendo::dataloader
