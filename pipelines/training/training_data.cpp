#include "pipelines/training/training_data.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/stopwatch.h"
#include "core/tensor_io.h"

namespace crescendo::pipelines {

namespace {

/// What the loader gives, made by `encode` into what is trained on.
class LoadedData final : public TrainingData {
 public:
  using Encode = std::function<EncodedBatch(dataloader::Batch)>;

  LoadedData(const TrainingDataOptions& options, const dataloader::Position& start, Encode encode)
      : loader_(options.data, options.need, static_cast<std::size_t>(options.batch_size),
                options.seed, dataloader::Order::kShuffled, start, options.ranks),
        world_size_(options.ranks.world_size),
        encode_(std::move(encode)) {}

  EncodedBatch next() override {
    const Stopwatch asked;
    dataloader::Batch batch = *loader_.next();
    const double waited = asked.seconds();
    EncodedBatch encoded = encode_(std::move(batch));
    encoded.data_seconds = waited;
    return encoded;
  }
  dataloader::Position position() const override { return loader_.position(); }
  dataloader::Position merge(std::span<const dataloader::Position> ranks) const override {
    return loader_.merge(ranks);
  }
  DataProgress progress() const override {
    const dataloader::Position own = loader_.own_position();
    const std::uint64_t samples = own.ordinal() + world_size_ - 1;  // ours is every W-th of them
    return {samples, epoch_samples() ? samples / *epoch_samples() : own.epoch()};
  }
  std::string describe(std::uint64_t samples_per_step) const override {
    return loader_.describe(samples_per_step);
  }
  std::optional<std::uint64_t> epoch_samples() const override { return loader_.epoch_samples(); }

 private:
  dataloader::Loader loader_;
  std::uint64_t world_size_;
  Encode encode_;
};

/// A batch that `crescendo cache` has encoded.
EncodedBatch stored_batch(dataloader::Batch batch, bool has_labels, at::Device device) {
  std::map<std::string, std::vector<at::Tensor>> rows;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    for (auto& [name, tensor] : parse_tensors(batch.latents[i], batch.keys[i])) {
      rows[name].push_back(tensor.to(at::kFloat));
    }
  }
  const auto stack = [&](const char* name) { return at::stack(rows.at(name)).to(device); };
  EncodedBatch encoded{.latents = {stack("mean"), stack("logvar")},
                       .condition = {},
                       .keys = std::move(batch.keys),
                       .ordinals = std::move(batch.ordinals)};
  if (rows.contains("context")) encoded.condition.encoder_hidden_states = stack("context");
  if (has_labels) encoded.condition.class_labels = at::tensor(batch.labels, at::kLong).to(device);
  return encoded;
}

/// Everything in memory, drawn in a new order each epoch: that of indexed shards.
class CachedData final : public TrainingData {
 public:
  CachedData(const TrainingDataOptions& options, BatchEncoder encoder, at::Device device,
             const dataloader::Position& start)
      : batch_size_(static_cast<std::size_t>(options.batch_size)),
        seed_(options.seed),
        ranks_(options.ranks),
        device_(device),
        ordinal_(start.ordinal()) {
    if (!start.waiting.empty()) {
      throw UserError(
          "train.cache_latents: the run gathers its samples in buckets; resume with cache_latents "
          "= false");
    }
    if (start.lanes.size() > 1) {
      throw UserError(
          "train.cache_latents: the run read its data in {} streams; resume with "
          "cache_latents = false",
          start.lanes.size());
    }
    fill(options, std::move(encoder));
    place_ = start.lanes.empty() ? dataloader::LanePosition{0, keys_.size(), 0} : start.lanes[0];
    if (place_.shard != keys_.size() || place_.sample >= keys_.size()) {
      throw UserError(
          "data.shards: the run was at sample {} of {} in epoch {}, but there are {} usable ones; "
          "they have changed since, resume with the data that the run began with",
          place_.sample, place_.shard, place_.epoch, keys_.size());
    }
  }

  EncodedBatch next() override {
    EncodedBatch batch;
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < batch_size_ * ranks_.world_size; ++i, ++ordinal_) {
      if (ordinal_ % ranks_.world_size == ranks_.rank) {
        const RandomPermutation order(keys_.size(), seed_, Purpose::kSampleOrder, place_.epoch);
        const std::uint64_t row = order[place_.sample];
        rows.push_back(static_cast<std::int64_t>(row));
        batch.keys.push_back(keys_[row]);
        batch.ordinals.push_back(ordinal_);
      }
      if (++place_.sample == keys_.size()) place_ = {place_.epoch + 1, keys_.size(), 0};
    }
    const at::Tensor index = at::tensor(rows, at::kLong);
    const auto select = [&](const at::Tensor& all) {
      return all.defined() ? all.index_select(0, index).to(device_) : all;
    };
    batch.latents = {select(latents_.mean), select(latents_.logvar)};
    batch.condition.encoder_hidden_states = select(condition_.encoder_hidden_states);
    batch.condition.class_labels = select(condition_.class_labels);
    return batch;
  }

  dataloader::Position position() const override { return {{ordinal_}, {place_}}; }
  dataloader::Position merge(std::span<const dataloader::Position> ranks) const override {
    return ranks[0];  // each counts the samples of all
  }
  DataProgress progress() const override { return {ordinal_, place_.epoch}; }
  std::string describe(std::uint64_t samples_per_step) const override {
    return fmt::format("{} samples, encoded once and kept in memory, {:.6g} steps an epoch",
                       keys_.size(),
                       static_cast<double>(keys_.size()) / static_cast<double>(samples_per_step));
  }
  std::optional<std::uint64_t> epoch_samples() const override { return keys_.size(); }

 private:
  void fill(const TrainingDataOptions& options, BatchEncoder encoder) {
    dataloader::Loader loader(options.data, options.need, 32, options.seed,
                              dataloader::Order::kOnce);
    std::vector<at::Tensor> means;
    std::vector<at::Tensor> logvars;
    std::vector<at::Tensor> contexts;
    std::vector<at::Tensor> labels;
    Progress progress("encode", 0, "images");
    while (std::optional<dataloader::Batch> batch = loader.next()) {
      EncodedBatch encoded = encoder.encode(*batch);
      means.push_back(encoded.latents.mean.cpu());
      logvars.push_back(encoded.latents.logvar.cpu());
      if (encoded.condition.encoder_hidden_states.defined()) {
        contexts.push_back(encoded.condition.encoder_hidden_states.cpu());
      }
      if (encoded.condition.class_labels.defined()) {
        labels.push_back(encoded.condition.class_labels.cpu());
      }
      for (std::string& key : encoded.keys) keys_.push_back(std::move(key));
      progress.update(keys_.size());
      throw_if_stopped();
    }
    latents_ = {at::cat(means), at::cat(logvars)};
    if (!contexts.empty()) condition_.encoder_hidden_states = at::cat(contexts);
    if (!labels.empty()) condition_.class_labels = at::cat(labels);
  }

  std::size_t batch_size_;
  std::uint64_t seed_;
  dataloader::Ranks ranks_;
  at::Device device_;
  std::uint64_t ordinal_;
  dataloader::LanePosition place_;
  vae::DiagonalGaussian latents_;  ///< of all samples, on the CPU
  unet::Conditioning condition_;
  std::vector<std::string> keys_;
};

}  // namespace

at::Tensor noise_of_samples(std::span<const std::uint64_t> ordinals, at::IntArrayRef shape,
                            std::uint64_t seed, Purpose purpose) {
  std::vector<at::Tensor> noises;
  for (const std::uint64_t ordinal : ordinals) {
    noises.push_back(random_normal(shape, seed, purpose, ordinal));
  }
  return at::stack(noises);
}

dataloader::Ranks share_of(const Communicator& ranks) {
  return {static_cast<std::uint64_t>(ranks.rank()), static_cast<std::uint64_t>(ranks.size())};
}

nlohmann::json position_to_json(const dataloader::Position& position) {
  nlohmann::json lanes = nlohmann::json::array();
  for (const dataloader::LanePosition& lane : position.lanes) {
    lanes.push_back({lane.epoch, lane.shard, lane.sample});
  }
  nlohmann::json state{{"next", position.next}, {"lanes", std::move(lanes)}};
  if (position.waiting.empty() && position.turn == 0) return state;
  state["turn"] = position.turn;
  nlohmann::json& waiting = state["waiting"] = nlohmann::json::array();
  for (const auto& [ordinal, place] : position.waiting) {
    waiting.push_back({ordinal, place.epoch, place.shard, place.sample});
  }
  return state;
}

dataloader::Position position_from(const nlohmann::json& state) {
  try {
    const nlohmann::json& value = state.at("position");
    if (value.contains("ordinal")) {
      throw DataError(
          "checkpoint state: its position in the data is of an earlier version, which read the "
          "samples in another order; begin a new run, with what this one has trained as its model");
    }
    dataloader::Position position{value.at("next").get<std::vector<std::uint64_t>>(), {}};
    if (position.next.empty()) throw DataError("checkpoint state: malformed (an empty 'next')");
    for (const nlohmann::json& lane : value.at("lanes")) {
      const auto [epoch, shard, sample] = lane.get<std::array<std::uint64_t, 3>>();
      position.lanes.push_back({epoch, shard, sample});
    }
    position.turn = value.value("turn", std::uint64_t{0});
    for (const nlohmann::json& one : value.value("waiting", nlohmann::json::array())) {
      const auto [ordinal, epoch, shard, sample] = one.get<std::array<std::uint64_t, 4>>();
      position.waiting.push_back({ordinal, {epoch, shard, sample}});
    }
    if (!std::ranges::is_sorted(position.waiting, {}, &dataloader::WaitingSample::ordinal)) {
      throw DataError("checkpoint state: malformed ('waiting' is out of order)");
    }
    return position;
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("checkpoint state: malformed ({})", failure.what());
  }
}

std::unique_ptr<TrainingData> stream_training_data(const TrainingDataOptions& options,
                                                   std::shared_ptr<vae::Autoencoder> vae,
                                                   Conditioner& conditioner, at::Device device,
                                                   const dataloader::Position& start) {
  return std::make_unique<LoadedData>(
      options, start,
      [encoder = BatchEncoder(std::move(vae), conditioner, device)](
          const dataloader::Batch& batch) mutable { return encoder.encode(batch); });
}

std::unique_ptr<TrainingData> stored_training_data(const TrainingDataOptions& options,
                                                   at::Device device,
                                                   const dataloader::Position& start) {
  return std::make_unique<LoadedData>(
      options, start, [has_labels = options.need.label, device](dataloader::Batch batch) {
        return stored_batch(std::move(batch), has_labels, device);
      });
}

void check_cacheable(const dataloader::DataOptions& data) {
  if (!data.random_flip && data.center_crop && data.caption_line != "random") return;
  throw UserError(
      "train.cache_latents: a sample is encoded once; expected data.random_flip = false, "
      "data.center_crop = true and data.caption_line = \"all\" or \"first\"");
}

void check_keepable(const dataloader::DataOptions& data) {
  check_cacheable(data);
  if (!data.enable_bucket) return;
  throw UserError(
      "train.cache_latents: latents in memory are all of one size; with data.enable_bucket, "
      "expected false; `crescendo cache` keeps latents of any size");
}

std::unique_ptr<TrainingData> cache_training_data(const TrainingDataOptions& options,
                                                  std::shared_ptr<vae::Autoencoder> vae,
                                                  Conditioner& conditioner, at::Device device,
                                                  const dataloader::Position& start) {
  check_keepable(options.data);
  return std::make_unique<CachedData>(options, BatchEncoder(std::move(vae), conditioner, device),
                                      device, start);
}

}  // namespace crescendo::pipelines
