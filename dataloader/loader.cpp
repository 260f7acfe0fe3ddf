#include "dataloader/loader.h"

#include <utility>

#include "dataloader/shard_list.h"

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

}  // namespace

Loader::Loader(const DataOptions& options, const Need& need, std::size_t batch_size,
               std::uint64_t seed, Order order, const Position& start)
    : batch_size_(require_batch_size(batch_size)),
      position_(start),
      whole_epoch_(start.sample == 0),
      bad_samples_(options.max_bad_fraction),
      decoder_(checked(options), need, seed),
      stream_({.shards = expand_shards(options.shards),
               .order = order,
               .seed = seed,
               .buffer = static_cast<std::size_t>(options.shuffle_buffer),
               .max_sample_bytes = static_cast<std::uint64_t>(options.max_sample_bytes)},
              start),
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

Loader::Outcome Loader::decode(const SampleDecoder& decoder, StreamItem item) {
  if (!item.sample) return {EpochEnd{}, item.after};
  try {
    return {decoder.decode(*item.sample, item.ordinal), item.after};
  } catch (const SampleError& error) {
    return {Bad{item.sample->shard, item.sample->key, error.defect()}, item.after};
  }
}

void Loader::take(Outcome outcome, Batch& batch) {
  position_ = outcome.after;
  if (Sample* sample = std::get_if<Sample>(&outcome.what)) {
    bad_samples_.count_good();
    if (batch.size() == 0) batch.images.reserve(batch_size_ * sample->image.size());
    batch.images.insert(batch.images.end(), sample->image.begin(), sample->image.end());
    if (!sample->latents.empty()) batch.latents.push_back(std::move(sample->latents));
    batch.keys.push_back(std::move(sample->key));
    batch.captions.push_back(std::move(sample->caption));
    batch.labels.push_back(sample->label);
    batch.ordinals.push_back(sample->ordinal);
  } else if (const Bad* bad = std::get_if<Bad>(&outcome.what)) {
    bad_samples_.count_bad(bad->shard, bad->key, bad->defect);
  } else {
    bad_samples_.end_epoch(std::exchange(whole_epoch_, true));
  }
}

}  // namespace crescendo::dataloader
