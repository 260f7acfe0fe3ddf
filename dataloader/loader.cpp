#include "dataloader/loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "dataloader/describe.h"

namespace crescendo::dataloader {

namespace {

std::size_t require_batch_size(std::size_t batch_size) {
  if (batch_size == 0) throw UserError("batch size: expected at least 1, found 0");
  return batch_size;
}

/// The options, once every field is in its range.
const DataOptions& checked(const DataOptions& options) {
  DataOptions copy = options;
  const std::vector<Field> list = fields(copy);
  read_model_config(fields_to_json(list), "data", list, {});
  return options;
}

/// True when the epochs of all lanes are seen from their first sample.
bool begins_epoch(const Position& start) {
  return std::ranges::all_of(start.lanes, [&](const LanePosition& lane) {
    return lane.shard == 0 && lane.sample == 0 && lane.epoch == start.lanes[0].epoch;
  });
}

}  // namespace

Loader::Loader(const DataOptions& options, const Need& need, std::size_t batch_size,
               std::uint64_t seed, Order order, const Position& start, const Ranks& ranks)
    : batch_size_(require_batch_size(batch_size)),
      whole_epoch_(begins_epoch(start)),
      bad_samples_(options.max_bad_fraction),
      decoder_(checked(options), need, seed),
      stream_({.sources = find_sources(options.shards, options.weights),
               .order = order,
               .seed = seed,
               .streams = static_cast<std::size_t>(options.streams),
               .buffer = static_cast<std::size_t>(options.shuffle_buffer),
               .max_sample_bytes = static_cast<std::uint64_t>(options.max_sample_bytes),
               .pipe_timeout = std::chrono::seconds(options.pipe_timeout),
               .rank = ranks.rank,
               .world_size = ranks.world_size},
              start),
      position_(stream_.position()),
      pool_([this] { return stream_.next(); },
            [this](StreamItem item) { return decode(decoder_, std::move(item)); },
            static_cast<std::size_t>(options.workers),
            static_cast<std::size_t>(options.prefetch) * batch_size) {}

std::optional<Batch> Loader::next() {
  Batch batch;
  while (batch.size() < batch_size_) {
    std::optional<Outcome> outcome = pool_.next();
    if (!outcome) break;
    take(std::move(*outcome), batch);
  }
  if (batch.size() == 0) return std::nullopt;
  return batch;
}

std::string Loader::describe(std::uint64_t samples_per_step) const {
  return describe_sources(stream_.options(), samples_per_step);
}

Loader::Outcome Loader::decode(const SampleDecoder& decoder, StreamItem item) {
  Outcome outcome{End{}, item.epoch_ended, std::move(item.after)};
  if (item.is_end()) return outcome;
  const std::uint64_t ordinal = item.ordinal;
  const RawSample sample = std::move(item).load();
  try {
    outcome.what = decoder.decode(sample, ordinal);
  } catch (const SampleError& error) {
    outcome.what = Bad{sample.shard, sample.key, error.defect()};
  }
  return outcome;
}

void Loader::take(Outcome outcome, Batch& batch) {
  if (outcome.epoch_ended) bad_samples_.end_epoch(std::exchange(whole_epoch_, true));
  position_ = std::move(outcome.after);
  if (Sample* sample = std::get_if<Sample>(&outcome.what)) {
    bad_samples_.count_good(sample->has_profile);
    if (batch.size() == 0) batch.images.reserve(batch_size_ * sample->image.size());
    batch.images.insert(batch.images.end(), sample->image.begin(), sample->image.end());
    if (!sample->latents.empty()) batch.latents.push_back(std::move(sample->latents));
    batch.keys.push_back(std::move(sample->key));
    batch.captions.push_back(std::move(sample->caption));
    batch.labels.push_back(sample->label);
    batch.ordinals.push_back(sample->ordinal);
  } else if (const Bad* bad = std::get_if<Bad>(&outcome.what)) {
    bad_samples_.count_bad(bad->shard, bad->key, bad->defect);
  }
}

}  // namespace crescendo::dataloader
