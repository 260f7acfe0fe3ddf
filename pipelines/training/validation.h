#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "curriculum/clusters.h"
#include "diffusion/noise_process.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

/// The loss on images that are held out of the training: each of them once in every of
/// validation.clusters equal shares of the noise levels, with noise and levels that are a function
/// of [validation] alone. So it means the same at every stage of a curriculum and in every run.
class Validation {
 public:
  /// Reads and encodes the images. `model` and `process` are those of the run. Throws UserError,
  /// also for shards that are trained on.
  Validation(const TrainConfig& config, const DiffusionModel& model, Conditioner& conditioner,
             const diffusion::NoiseProcess& process, at::Device device);

  /// An event for the metrics: `loss`, the mean squared error of all levels alike, unweighted;
  /// `weighted_loss`, where loss_weighting makes it another; `losses` of each cluster, unweighted;
  /// the number of `images`; `set`, by which losses of other images, noise, levels or targets are
  /// told apart. Draws nothing from a generator. Throws Interrupted.
  nlohmann::ordered_json measure(unet::UNet2DConditionModel unet,
                                 const AutocastState& autocast) const;

 private:
  struct Images {
    at::Tensor latents;  ///< scaled: [N,C,h,w]
    unet::Conditioning condition;
    std::int64_t first = 0;  ///< which of all is the first of them
  };
  NoisedBatch noised(const Images& images, std::size_t cluster,
                     std::vector<std::int64_t>& places) const;

  ValidationOptions options_;
  const diffusion::NoiseProcess& process_;
  std::shared_ptr<const diffusion::NoiseProcess> unweighted_;
  std::vector<curriculum::Cluster> clusters_;
  at::Device device_;
  std::vector<Images> images_;
  std::string set_;
};

}  // namespace crescendo::pipelines
