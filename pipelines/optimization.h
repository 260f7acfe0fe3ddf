#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "core/tensor_io.h"
#include "pipelines/options.h"

namespace crescendo::pipelines {

/// The learning rate of optimizer step `step`, counted from 0; a function of the step alone, so
/// that a resumed run goes on where it was. Warm-up step s has (s + 1) / lr_warmup_steps of it.
double learning_rate_at(const OptimizationOptions& options, std::int64_t step);

/// Over all passes of an optimizer step.
std::uint64_t samples_per_step(const OptimizationOptions& options);

/// The decay of the weights' average at optimizer step `step`, counted from 0:
/// min(ema_decay, (1 + step) / (10 + step)), so that the average forgets the random start.
double ema_decay_at(const OptimizationOptions& options, std::int64_t step);

/// Weights in training: AdamW (Loshchilov and Hutter, arXiv 1711.05101, the fused kernel of ATen)
/// and, if wanted, their exponential moving average in a second instance of the model.
class Optimization {
 public:
  /// `average` has the architecture of `model` and starts as its copy; null for none.
  Optimization(std::shared_ptr<torch::nn::Module> model, std::shared_ptr<torch::nn::Module> average,
               OptimizationOptions options);

  /// One step with the gradients that are there, which are then gone: clips, moves the weights,
  /// then the average. Returns the norm of the gradients before clipping; when it is not finite
  /// nothing is changed.
  double step(std::int64_t step);

  /// What a checkpoint keeps, by file name: weights.safetensors, ema.safetensors and
  /// optimizer.safetensors. The tensors are those in training, not copies.
  std::map<std::string, TensorMap> files() const;

  /// Takes over the files() in `folder`. Throws DataError.
  void load(const std::filesystem::path& folder);

 private:
  double clip();

  OptimizationOptions options_;
  std::shared_ptr<torch::nn::Module> model_;
  std::shared_ptr<torch::nn::Module> average_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> averages_;
  std::vector<at::Tensor> exp_avgs_;     ///< first moments
  std::vector<at::Tensor> exp_avg_sqs_;  ///< second moments
};

/// Copies every parameter and buffer of `source` to `target`, of the same architecture.
void copy_weights(const torch::nn::Module& source, torch::nn::Module& target);

}  // namespace crescendo::pipelines
