#include "dataloader/loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "dataloader/describe.h"

namespace crescendo::dataloader {

namespace {

/// The options, once every field is in its range.
const DataOptions& checked(const DataOptions& options) {
  DataOptions copy = options;
  const std::vector<Field> list = fields(copy);
  read_model_config(fields_to_json(list), "data", list, {});
  return options;
}

/// Without buckets all samples of a rank have one size, and go into its batches as they come.
Batcher::Options batching(const DataOptions& options, std::size_t batch_size, Order order,
                          const Ranks& ranks) {
  constexpr std::uint64_t kLongestWait = 32;  // batches
  Batcher::Options batching{.batch_size = batch_size,
                            .streams = ranks.world_size,
                            .rank = ranks.rank,
                            .world_size = ranks.world_size};
  if (!options.enable_bucket) return batching;
  if (order == Order::kOnce) {
    batching.longest_wait = kLongestWait * batch_size;
  } else {
    batching.streams = static_cast<std::uint64_t>(options.streams);
  }
  return batching;
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
    : batcher_(batching(checked(options), batch_size, order, ranks), start.turn),
      whole_epoch_(begins_epoch(start)),
      bad_samples_(options.max_bad_fraction),
      decoder_(options, need, seed),
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
  for (;;) {
    if (std::optional<Batch> batch = batcher_.next()) return batch;
    std::optional<Outcome> outcome = pool_.next();
    if (!outcome) return batcher_.flush();
    take(std::move(*outcome));
  }
}

Position Loader::position() const {
  Position position = position_;
  const std::vector<WaitingSample> gathered = batcher_.waiting();
  // What the stream has still to read again comes behind what it has read.
  position.waiting.insert(position.waiting.begin(), gathered.begin(), gathered.end());
  position.turn = batcher_.turn();
  return position;
}

std::string Loader::describe(std::uint64_t samples_per_step) const {
  std::string text = describe_sources(stream_.options(), samples_per_step);
  if (decoder_.buckets().size() > 1) text += "; " + describe_buckets(decoder_.buckets());
  return text;
}

std::optional<std::uint64_t> Loader::epoch_samples() const {
  const std::vector<Source>& sources = stream_.options().sources;
  if (sources.size() != 1 || !sources[0].indexed()) return std::nullopt;
  return sources[0].samples();
}

Loader::Outcome Loader::decode(const SampleDecoder& decoder, StreamItem item) {
  Outcome outcome{End{}, item.place, item.epoch_ended, std::move(item.after)};
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

void Loader::take(Outcome outcome) {
  if (outcome.epoch_ended) bad_samples_.end_epoch(std::exchange(whole_epoch_, true));
  position_ = std::move(outcome.after);
  if (Sample* sample = std::get_if<Sample>(&outcome.what)) {
    bad_samples_.count_good(sample->has_profile);
    batcher_.add(std::move(*sample), outcome.place);
  } else if (const Bad* bad = std::get_if<Bad>(&outcome.what)) {
    bad_samples_.count_bad(bad->shard, bad->key, bad->defect);
  }
}

}  // namespace crescendo::dataloader
