#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "curriculum/curriculum.h"
#include "diffusion/noise_process.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/monitoring/cluster_losses.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/periodic_evaluation.h"
#include "pipelines/training/train_setup.h"
#include "pipelines/training/training_data.h"
#include "pipelines/training/training_loop.h"
#include "pipelines/training/validation.h"

namespace crescendo::pipelines {

/// The latent U-Net learns to tell the noise of noised latents; the curriculum chooses how noised.
/// Every draw is keyed by the sample's ordinal.
class DenoisingTask final : public TrainingTask {
 public:
  /// Opens or makes the models. Throws UserError.
  DenoisingTask(TrainConfig config, at::Device device, Communicator& ranks = alone());

  Optimization& optimization() override { return optimization_; }
  nlohmann::json state() const override;
  nlohmann::json merge(std::span<const nlohmann::json> states) const override;
  void load_state(const nlohmann::json& state) override;
  void start() override;
  ForwardPass forward() override;
  std::vector<nlohmann::ordered_json> observe(std::int64_t step, double loss,
                                              const StepSamples& samples) override;
  void add_metrics(nlohmann::ordered_json& metrics) const override;
  std::string status() const override;
  std::optional<nlohmann::ordered_json> validate(std::int64_t step) override;
  std::optional<nlohmann::ordered_json> evaluate(std::int64_t step) override;
  std::filesystem::path draw_samples(std::int64_t step,
                                     const std::filesystem::path& folder) override;

  /// The model as it is to be used: with the averaged weights where there are any.
  DiffusionModel trained_model() const;

  /// The weights that trained_model() has the average of; null where they are the same.
  unet::UNet2DConditionModel non_ema() const;

  /// What is trained in place of the U-Net; null where the U-Net itself is.
  const LoraTraining* lora() const { return lora_.get(); }

  const curriculum::Curriculum& curriculum() const { return curriculum_; }

  /// After start().
  const TrainingData& data() const { return *data_; }

  /// Captions that were cut, and captions, so far.
  const Conditioner& conditioner() const { return conditioner_; }

 private:
  unet::UNet2DConditionModel make_average() const;
  Optimization make_optimization() const;
  bool drops_condition(std::uint64_t ordinal) const;
  std::vector<std::int64_t> draw_places(const std::vector<std::uint64_t>& ordinals) const;
  NoisedBatch draw_for(const EncodedBatch& batch, std::span<const std::int64_t> places);
  std::optional<nlohmann::ordered_json> observe_stage(std::int64_t step, double loss);
  std::uint64_t seed() const { return static_cast<std::uint64_t>(config_.run.seed); }

  TrainConfig config_;
  at::Device device_;
  Communicator& ranks_;
  DiffusionModel model_;
  AutocastState autocast_;
  std::shared_ptr<const diffusion::NoiseProcess> process_;
  curriculum::Curriculum curriculum_;
  ClusterLosses cluster_losses_;
  Conditioner conditioner_;
  std::unique_ptr<LoraTraining> lora_;
  unet::UNet2DConditionModel average_{nullptr};  ///< of the U-Net where it is in training
  Optimization optimization_;
  dataloader::Position position_;  ///< where start() begins
  std::unique_ptr<TrainingData> data_;
  std::optional<Validation> validation_;  ///< it, the evaluation and the samples: on rank 0
  std::optional<PeriodicEvaluation> evaluation_;
  std::vector<ImageRequest> sample_requests_;
  std::optional<ImageGenerator> generator_;  ///< of the samples
};

}  // namespace crescendo::pipelines
