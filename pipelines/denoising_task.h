#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "curriculum/curriculum.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/denoising_loss.h"
#include "pipelines/image_generator.h"
#include "pipelines/train_setup.h"
#include "pipelines/training_data.h"
#include "pipelines/training_loop.h"

namespace crescendo::pipelines {

/// The latent U-Net learns to tell the noise of noised latents; the curriculum chooses how noised.
/// Every draw is keyed by the sample's ordinal.
class DenoisingTask final : public TrainingTask {
 public:
  /// Opens or makes the models. Throws UserError.
  DenoisingTask(TrainConfig config, at::Device device);

  Optimization& optimization() override { return optimization_; }
  nlohmann::json state() const override;
  void load_state(const nlohmann::json& state) override;
  void start() override;
  ForwardPass forward() override;
  std::optional<nlohmann::ordered_json> observe(std::int64_t step, double loss) override;
  void add_metrics(nlohmann::ordered_json& metrics) const override;
  std::string status() const override;
  void draw_samples(std::int64_t step, const std::filesystem::path& folder) override;

  /// The model as it is to be used: with the averaged weights where there are any.
  DiffusionModel trained_model() const;

  /// The weights that trained_model() has the average of; null where they are the same.
  unet::UNet2DConditionModel non_ema() const;

  /// Captions that were cut, and captions, so far.
  const Conditioner& conditioner() const { return conditioner_; }

 private:
  unet::UNet2DConditionModel make_average() const;
  bool drops_condition(std::uint64_t ordinal) const;
  NoisedBatch draw_for(const EncodedBatch& batch);
  std::uint64_t seed() const { return static_cast<std::uint64_t>(config_.run.seed); }

  TrainConfig config_;
  at::Device device_;
  DiffusionModel model_;
  AutocastState autocast_;
  diffusion::NoiseSchedule schedule_;
  curriculum::Curriculum curriculum_;
  Conditioner conditioner_;
  unet::UNet2DConditionModel average_{nullptr};
  Optimization optimization_;
  dataloader::Position position_;  ///< where start() begins
  std::unique_ptr<TrainingData> data_;
  std::vector<ImageRequest> sample_requests_;
  std::optional<ImageGenerator> generator_;  ///< of the samples
};

}  // namespace crescendo::pipelines
