#include "dataloader/sample_stream.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

constexpr std::uint64_t kMaxBufferedBytes = std::uint64_t{1} << 30;

/// One pass goes through everything in its order, whatever could be read at random.
std::vector<Source> joined(std::vector<Source> sources) {
  Source all;
  for (Source& source : sources) std::ranges::move(source.shards, std::back_inserter(all.shards));
  return {all};
}

}  // namespace

RawSample StreamItem::load() && {
  if (const auto* lazy = std::get_if<SamplePlace>(&sample)) {
    return lazy->shard->read(lazy->number);
  }
  return std::get<RawSample>(std::move(sample));
}

SampleStream::SampleStream(Options options, Position start)
    : options_(std::move(options)), start_(std::move(start)) {
  if (options_.order == Order::kOnce) options_.sources = joined(std::move(options_.sources));
  check_ranks();
  std::size_t lanes = 0;
  for (const Source& source : options_.sources) {
    lanes += lanes_of(source);
    round_size_ = std::lcm(round_size_, std::uint64_t{lanes_of(source)});
  }
  check_start(lanes);
  position_ = start_;
  const std::uint64_t counters = std::lcm(start_.next.size(), options_.world_size);
  position_.next.resize(counters);
  for (std::size_t i = start_.next.size(); i < counters; ++i) {
    position_.next[i] = start_.next[i % start_.next.size()];
  }
  std::erase_if(position_.waiting, [this](const WaitingSample& sample) {
    return sample.ordinal % options_.world_size != options_.rank;
  });
  ordinal_ = start_.ordinal();
  open_readers(lanes);
}

std::size_t SampleStream::lanes_of(const Source& source) const {
  if (source.indexed() || options_.order == Order::kOnce) return 1;
  return std::min(options_.streams, source.shards.size());
}

void SampleStream::check_ranks() const {
  if (options_.order == Order::kOnce) return;
  for (const Source& source : options_.sources) {
    const std::size_t lanes = lanes_of(source);
    if (source.indexed() || lanes % options_.world_size == 0) continue;
    throw UserError(
        "data.streams: {} streams of {} shards cannot be shared evenly by {} ranks; expected a "
        "multiple of {} for data.streams and at least as many shards, or an index beside each "
        "shard (crescendo index)",
        lanes, source.shards.size(), options_.world_size, options_.world_size);
  }
}

void SampleStream::check_start(std::size_t lanes) {
  if (start_.lanes.empty()) start_.lanes.resize(lanes);
  if (start_.lanes.size() != lanes) {
    throw UserError(
        "data.shards: the run had {} streams, these shards and options make {}; resume with the "
        "data and the data.streams that the run began with",
        start_.lanes.size(), lanes);
  }
}

void SampleStream::open_readers(std::size_t lanes) {
  epochs_.assign(lanes, std::numeric_limits<std::uint64_t>::max());
  Lane::Options shared{.order = options_.order,
                       .seed = options_.seed,
                       .sources = options_.sources.size(),
                       .limits = {.buffer_bytes = kMaxBufferedBytes / lanes,
                                  .max_sample_bytes = options_.max_sample_bytes,
                                  .pipe_timeout = options_.pipe_timeout}};
  for (const Source& source : options_.sources) shared.all_shards += source.shards.size();
  std::size_t first = 0;
  for (const Source& source : options_.sources) {
    Reader& reader = readers_.emplace_back();
    reader.first = first;
    shared.shards = source.shards;
    if (source.indexed() && options_.order == Order::kShuffled) {
      open_indexed(reader, source, shared.source);
    } else {
      open_lanes(reader, shared);
    }
    first += lanes_of(source);
    shared.first_shard += source.shards.size();
    ++shared.source;
  }
}

void SampleStream::open_indexed(Reader& reader, const Source& source, std::uint64_t number) {
  reader.indexed.emplace(source, options_.seed, number, options_.sources.size(),
                         options_.max_sample_bytes);
  LanePosition& start = start_.lanes[reader.first];
  epochs_[reader.first] = start.epoch;
  if (start == LanePosition{}) {
    position_.lanes[reader.first].shard = start.shard = reader.indexed->size();
  }
  check_indexed(reader, start);
}

void SampleStream::check_indexed(const Reader& reader, const LanePosition& place) {
  const std::uint64_t size = reader.indexed->size();
  if (place.shard == size && place.sample < size) return;
  throw UserError(
      "data.shards: the run was at sample {} of {} in epoch {}, but the shards and their indices "
      "hold {}; they have changed since, resume with the data that the run began with",
      place.sample, place.shard, place.epoch, size);
}

void SampleStream::open_lanes(Reader& reader, Lane::Options shared) {
  shared.lanes =
      options_.order == Order::kOnce ? 1 : std::min(options_.streams, shared.shards.size());
  shared.limits.buffer = std::max<std::size_t>(options_.buffer / shared.lanes, 1);
  for (; shared.lane < shared.lanes; ++shared.lane) {
    const std::size_t place = reader.first + shared.lane;
    const bool mine = shared.lanes == 1 || shared.lane % options_.world_size == options_.rank;
    if (mine) epochs_[place] = start_.lanes[place].epoch;
    reader.lanes.emplace_back(shared, start_.lanes[place]);
  }
}

std::optional<StreamItem> SampleStream::next() {
  if (!position_.waiting.empty()) return next_waiting();
  while (!over_) {
    StreamItem item{.sample = {}, .ordinal = ordinal_++, .epoch_ended = false, .after = {}};
    Reader& reader = readers_[choose_source(item.ordinal / round_size_)];
    const bool mine = is_mine(item.ordinal);
    if (reader.indexed) {
      take_indexed(reader, mine, item);
    } else {
      take_from_lane(reader, mine, item);
    }
    if (!mine && !over_) continue;
    if (!over_) consume(item.ordinal);
    item.after = position_;
    return item;
  }
  return std::nullopt;
}

std::size_t SampleStream::lane_of(const Reader& reader, std::uint64_t ordinal) const {
  return (ordinal % round_size_) % reader.lanes.size();
}

StreamItem SampleStream::next_waiting() {
  const WaitingSample sample = position_.waiting.front();
  position_.waiting.erase(position_.waiting.begin());
  StreamItem item{.sample = read_again(sample),
                  .ordinal = sample.ordinal,
                  .place = sample.place,
                  .epoch_ended = false,
                  .after = position_};
  if (position_.waiting.empty()) return_lanes();
  return item;
}

SampleOrPlace SampleStream::read_again(const WaitingSample& sample) {
  Reader& reader = readers_[choose_source(sample.ordinal / round_size_)];
  if (reader.indexed) {
    check_indexed(reader, sample.place);
    return reader.indexed->at(sample.place.epoch, sample.place.sample);
  }
  return reader.lanes[lane_of(reader, sample.ordinal)].read_again(sample.place);
}

void SampleStream::return_lanes() {
  for (Reader& reader : readers_) {
    for (std::size_t lane = 0; lane < reader.lanes.size(); ++lane) {
      reader.lanes[lane].move_to(start_.lanes[reader.first + lane]);
    }
  }
}

std::size_t SampleStream::choose_source(std::uint64_t round) const {
  if (options_.sources.size() == 1) return 0;
  double sum = 0;
  for (const Source& source : options_.sources) sum += source.weight;
  double left = RandomStream(options_.seed, Purpose::kSource, round).uniform() * sum;
  std::size_t chosen = 0;
  while (chosen + 1 < options_.sources.size() && left >= options_.sources[chosen].weight) {
    left -= options_.sources[chosen++].weight;
  }
  return chosen;
}

bool SampleStream::is_mine(std::uint64_t ordinal) const {
  return ordinal % options_.world_size == options_.rank &&
         ordinal >= start_.next[ordinal % start_.next.size()];
}

void SampleStream::take_indexed(Reader& reader, bool mine, StreamItem& item) {
  LanePosition& place = position_.lanes[reader.first];
  const LanePosition here = place;
  // Every rank counts all samples, and reads its own.
  if (++place.sample == reader.indexed->size()) place = {here.epoch + 1, here.shard, 0};
  if (!mine) return;
  item.place = here;
  item.epoch_ended = enter_epoch(reader.first, here.epoch);
  item.sample = reader.indexed->at(here.epoch, here.sample);
}

void SampleStream::take_from_lane(Reader& reader, bool mine, StreamItem& item) {
  const bool once = options_.order == Order::kOnce;
  if (!mine && !once) return;
  const std::size_t lane = lane_of(reader, item.ordinal);
  std::optional<RawSample> sample = reader.lanes[lane].next();
  const std::size_t place = reader.first + lane;
  position_.lanes[place] = reader.lanes[lane].position();
  item.epoch_ended = enter_epoch(place, position_.lanes[place].epoch);
  if (sample) {
    item.place = position_.lanes[place];
    --item.place.sample;
    item.sample = std::move(*sample);
  } else {
    over_ = true;
  }
}

bool SampleStream::enter_epoch(std::size_t lane, std::uint64_t epoch) {
  const std::uint64_t before = std::ranges::min(epochs_);
  epochs_[lane] = epoch;
  return std::ranges::min(epochs_) > before;
}

void SampleStream::consume(std::uint64_t ordinal) {
  for (std::size_t i = options_.rank; i < position_.next.size(); i += options_.world_size) {
    position_.next[i] = std::max(position_.next[i], ordinal + 1);
  }
}

Position SampleStream::merge(std::span<const Position> ranks) const {
  Position merged = ranks[0];
  for (std::size_t i = 0; i < merged.next.size(); ++i) {
    merged.next[i] = ranks[i % ranks.size()].next[i];
  }
  merged.waiting.clear();
  for (const Position& rank : ranks) {
    std::ranges::copy(rank.waiting, std::back_inserter(merged.waiting));
  }
  std::ranges::sort(merged.waiting, {}, &WaitingSample::ordinal);
  const auto last = std::ranges::min_element(merged.next) - merged.next.begin();
  const Position& slowest = ranks[static_cast<std::size_t>(last) % ranks.size()];
  for (const Reader& reader : readers_) {
    const std::size_t count = reader.indexed ? 1 : reader.lanes.size();
    for (std::size_t lane = 0; lane < count; ++lane) {
      // What all ranks count together stands where the slowest is.
      const Position& owner = count == 1 ? slowest : ranks[lane % ranks.size()];
      merged.lanes[reader.first + lane] = owner.lanes[reader.first + lane];
    }
  }
  return merged;
}

Position SampleStream::own(const Position& position) const {
  Position own{.next = {}, .lanes = {}, .waiting = position.waiting, .turn = position.turn};
  for (std::size_t i = options_.rank; i < position.next.size(); i += options_.world_size) {
    own.next.push_back(position.next[i]);
  }
  for (const Reader& reader : readers_) {
    const std::size_t count = reader.indexed ? 1 : reader.lanes.size();
    for (std::size_t lane = 0; lane < count; ++lane) {
      if (count > 1 && lane % options_.world_size != options_.rank) continue;
      own.lanes.push_back(position.lanes[reader.first + lane]);
    }
  }
  return own;
}

std::uint64_t SampleStream::reread() const {
  std::uint64_t count = 0;
  for (const Reader& reader : readers_) {
    for (const Lane& lane : reader.lanes) count += lane.reread();
  }
  return count;
}

}  // namespace crescendo::dataloader
