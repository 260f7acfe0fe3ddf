#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

#include "core/tensor_io.h"
#include "pipelines/config/options.h"
#include "pipelines/distributed/communicator.h"
#include "pipelines/training/schedules.h"

namespace crescendo::pipelines {

/// Weights in training, which are the parameters of a module that require a gradient: by AdamW
/// (Loshchilov and Hutter, arXiv 1711.05101) or SGD, with the fused kernels of ATen, and if wanted
/// their exponential moving average in a second instance of the module.
class Optimization {
 public:
  /// `average` has the architecture of `model` and starts as its copy; null for none.
  Optimization(std::shared_ptr<torch::nn::Module> model, std::shared_ptr<torch::nn::Module> average,
               OptimizationOptions options);

  /// Step `step` (counted from 0, skipped ones included) with the gradients that are there, divided
  /// by `divisor`; they are then gone: clips, moves the weights, then the averages. Returns the
  /// norm of the divided gradients before clipping; when it is not finite nothing is changed, and
  /// the gradients stay.
  double step(std::int64_t step, double divisor = 1);

  /// Those in training, as the module registers them.
  std::vector<at::Tensor> parameters() const;

  /// Of all gradients together, and of each by the name of its parameter.
  double gradient_norm() const;
  std::vector<std::pair<std::string, double>> gradient_norms() const;

  /// Of each parameter itself.
  std::vector<std::pair<std::string, double>> weight_norms() const;

  /// As if there had been no backward pass.
  void discard_gradients();

  /// Steps that have moved the weights.
  std::int64_t updates() const { return updates_; }

  /// What a checkpoint keeps, by file name: weights.safetensors, ema.safetensors,
  /// optimizer.safetensors and, with posthoc_ema, posthoc_ema.safetensors. The tensors are those in
  /// training, not copies, but for the number of updates.
  std::map<std::string, TensorMap> files() const;

  /// Takes over the files() in `folder`. Throws DataError.
  void load(const std::filesystem::path& folder);

  /// Takes over what rank 0 has. Collective.
  void share(Communicator& ranks);

  /// Each of the averages of posthoc_ema, by its sigma_rel.
  std::map<double, TensorMap> posthoc_averages() const;

 private:
  /// Parameters that decay alike, and what the optimizer keeps of them.
  struct Group {
    double weight_decay = 0;
    std::vector<std::string> names{};
    std::vector<at::Tensor> parameters{};
    std::vector<std::vector<at::Tensor>> moments{};  ///< by their kind: see moment_names()
  };

  std::vector<std::string> moment_names() const;
  std::vector<Group> make_groups() const;
  void scale_gradients(double factor);
  void move_weights(Group& group, double learning_rate) const;
  void update_averages();
  TensorMap optimizer_state() const;

  OptimizationOptions options_;
  std::shared_ptr<torch::nn::Module> model_;
  std::shared_ptr<torch::nn::Module> average_;
  std::vector<Group> groups_;
  std::vector<at::Tensor> parameters_;  ///< of all groups, in order
  std::vector<at::Tensor> averages_;    ///< of average_, for each of them
  std::map<double, std::vector<at::Tensor>> posthoc_averages_;
  std::int64_t updates_ = 0;
};

/// Copies every parameter and buffer of `source` to `target`, of the same architecture.
void copy_weights(const torch::nn::Module& source, torch::nn::Module& target);

}  // namespace crescendo::pipelines
