#include "dataloader/batcher.h"

#include <algorithm>
#include <iterator>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

void append(Sample sample, std::size_t batch_size, Batch& batch) {
  batch.width = sample.width;
  batch.height = sample.height;
  if (batch.size() == 0) batch.images.reserve(batch_size * sample.image.size());
  batch.images.insert(batch.images.end(), sample.image.begin(), sample.image.end());
  if (!sample.latents.empty()) batch.latents.push_back(std::move(sample.latents));
  batch.keys.push_back(std::move(sample.key));
  batch.captions.push_back(std::move(sample.caption));
  batch.labels.push_back(sample.label);
  batch.ordinals.push_back(sample.ordinal);
}

}  // namespace

Batcher::Batcher(const Options& options, std::uint64_t turn) : options_(options) {
  if (options_.batch_size == 0) throw UserError("batch size: expected at least 1, found 0");
  if (options_.streams % options_.world_size != 0) {
    throw UserError(
        "data.streams: with data.enable_bucket, expected a multiple of the number of ranks, {}; "
        "found {}",
        options_.world_size, options_.streams);
  }
  turn_ = turn % options_.streams;
  gatherers_.resize(options_.streams / options_.world_size);
}

void Batcher::add(Sample sample, const LanePosition& place) {
  const std::uint64_t ordinal = sample.ordinal;
  Gatherer& gatherer = gatherers_[ordinal % options_.streams / options_.world_size];
  const auto at = gatherer.open.try_emplace({sample.width, sample.height}).first;
  append(std::move(sample), options_.batch_size, at->second.batch);
  at->second.samples.push_back({ordinal, place});
  if (at->second.batch.size() == options_.batch_size) {
    gatherer.done.push_back(std::move(at->second));
    gatherer.open.erase(at);
  }
  if (options_.longest_wait > 0) close_overdue(gatherer, ordinal);
}

void Batcher::close_overdue(Gatherer& gatherer, std::uint64_t ordinal) const {
  std::erase_if(gatherer.open, [&](auto& entry) {
    if (ordinal - entry.second.samples.front().ordinal < options_.longest_wait) return false;
    gatherer.done.push_back(std::move(entry.second));
    return true;
  });
}

Batcher::Gatherer& Batcher::in_turn() {
  const std::uint64_t ranks = options_.world_size;
  const std::uint64_t ahead = (options_.rank + ranks - turn_ % ranks) % ranks;
  return gatherers_[(turn_ + ahead) % options_.streams / ranks];
}

std::optional<Batch> Batcher::next() {
  std::deque<Gathered>& done = in_turn().done;
  if (done.empty()) return std::nullopt;
  Batch batch = std::move(done.front().batch);
  done.pop_front();
  turn_ = (turn_ + options_.world_size) % options_.streams;
  return batch;
}

std::optional<Batch> Batcher::flush() {
  for (Gatherer& gatherer : gatherers_) {
    for (auto& [size, gathered] : gatherer.open) gatherer.done.push_back(std::move(gathered));
    gatherer.open.clear();
    if (gatherer.done.empty()) continue;
    Batch batch = std::move(gatherer.done.front().batch);
    gatherer.done.pop_front();
    return batch;
  }
  return std::nullopt;
}

std::vector<WaitingSample> Batcher::waiting() const {
  std::vector<WaitingSample> all;
  const auto take = [&](const Gathered& gathered) {
    std::ranges::copy(gathered.samples, std::back_inserter(all));
  };
  for (const Gatherer& gatherer : gatherers_) {
    std::ranges::for_each(gatherer.done, take);
    for (const auto& [size, gathered] : gatherer.open) take(gathered);
  }
  std::ranges::sort(all, {}, &WaitingSample::ordinal);
  return all;
}

}  // namespace crescendo::dataloader
