#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/random.h"
#include "dataloader/loader.h"
#include "pipelines/config/options.h"
#include "pipelines/distributed/communicator.h"
#include "pipelines/training/batch_encoder.h"
#include "vae/autoencoder.h"

namespace crescendo::pipelines {

/// Standard normal noise [N,...shape] on the CPU, of each sample's own stream.
at::Tensor noise_of_samples(std::span<const std::uint64_t> ordinals, at::IntArrayRef shape,
                            std::uint64_t seed, Purpose purpose);

/// A position in the data as the state of a checkpoint keeps it, under "position".
nlohmann::json position_to_json(const dataloader::Position& position);

/// Throws DataError.
dataloader::Position position_from(const nlohmann::json& state);

/// How far a run is in its data, as the share of one rank tells.
struct DataProgress {
  std::uint64_t samples = 0;  ///< of all ranks
  std::uint64_t epoch = 0;    ///< all before are through
};

/// An endless stream of encoded samples in an order that is a function of (data, seed).
class TrainingData {
 public:
  virtual ~TrainingData() = default;
  virtual EncodedBatch next() = 0;

  /// Where the next batch begins.
  virtual dataloader::Position position() const = 0;

  /// That of the whole run out of those of all its ranks, in their order.
  virtual dataloader::Position merge(std::span<const dataloader::Position> ranks) const = 0;

  virtual DataProgress progress() const = 0;

  /// What there is, and what an epoch is at so many samples a step.
  virtual std::string describe(std::uint64_t samples_per_step) const = 0;

  /// The samples of an epoch; nothing where they are counted as they come.
  virtual std::optional<std::uint64_t> epoch_samples() const = 0;
};

/// The share of the samples that a rank trains on.
dataloader::Ranks share_of(const Communicator& ranks);

/// What the two kinds of stream have in common.
struct TrainingDataOptions {
  dataloader::DataOptions data;
  dataloader::Need need;
  std::int64_t batch_size = 1;
  std::uint64_t seed = 0;
  dataloader::Ranks ranks{};
};

/// Encodes each batch when it is wanted. `vae` and `conditioner` must outlive the stream.
std::unique_ptr<TrainingData> stream_training_data(const TrainingDataOptions& options,
                                                   std::shared_ptr<vae::Autoencoder> vae,
                                                   Conditioner& conditioner, at::Device device,
                                                   const dataloader::Position& start);

/// Reads the shards that `crescendo cache` wrote; options.need.latents must be set.
std::unique_ptr<TrainingData> stored_training_data(const TrainingDataOptions& options,
                                                   at::Device device,
                                                   const dataloader::Position& start);

/// Throws UserError for augmentations that would differ from epoch to epoch: what is cached is
/// encoded once.
void check_cacheable(const dataloader::DataOptions& data);

/// Throws UserError for what is not cacheable, or of several sizes.
void check_keepable(const dataloader::DataOptions& data);

/// Encodes everything once, up front, and keeps it in memory, on each rank. Throws UserError for
/// what is not keepable.
std::unique_ptr<TrainingData> cache_training_data(const TrainingDataOptions& options,
                                                  std::shared_ptr<vae::Autoencoder> vae,
                                                  Conditioner& conditioner, at::Device device,
                                                  const dataloader::Position& start);

}  // namespace crescendo::pipelines
