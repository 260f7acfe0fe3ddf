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
/// their exponential moving average in a second instance of the module. With zero_stage = 1 each of
/// several ranks keeps the moments of its share of the parameters, moves these, and takes the
/// others from the ranks that they belong to (ZeRO-1: Rajbhandari et al., arXiv 1910.02054).
class Optimization {
 public:
  /// `average` has the architecture of `model` and starts as its copy; null for none.
  Optimization(std::shared_ptr<torch::nn::Module> model, std::shared_ptr<torch::nn::Module> average,
               OptimizationOptions options, Communicator& ranks = alone());

  /// Step `step` (counted from 0, skipped ones included) with the gradients that are there, divided
  /// by `divisor`; they are then gone: clips, moves the weights, then the averages. Returns the
  /// norm of the divided gradients before clipping; when it is not finite nothing is changed, and
  /// the gradients stay. Collective, as files() is, with shared moments.
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
  /// training, not copies, but for the number of updates and, on rank 0, what others keep; there
  /// alone it is whole.
  std::map<std::string, TensorMap> files() const;

  /// Takes over the files() in `folder`, but for what others keep. Throws DataError.
  void load(const std::filesystem::path& folder);

  /// Takes over what rank 0 has, who has loaded `folder`, or nothing. Collective.
  void share(const std::filesystem::path& folder);

  /// How much of the moments is kept here; "" when it is all.
  std::string describe_share() const;

  /// Each of the averages of posthoc_ema, by its sigma_rel.
  std::map<double, TensorMap> posthoc_averages() const;

 private:
  /// Parameters that decay alike, and what the optimizer keeps of them.
  struct Group {
    double weight_decay = 0;
    std::vector<std::string> names{};
    std::vector<at::Tensor> parameters{};
    std::vector<int> owners{};                       ///< the ranks that move them
    std::vector<std::vector<at::Tensor>> moments{};  ///< by their kind: see moment_names()
  };

  std::vector<std::string> moment_names() const;
  std::vector<Group> make_groups() const;
  void choose_owners(std::vector<Group>& groups) const;
  std::vector<Group> make_share() const;
  bool is_shared() const { return options_.zero_stage > 0 && ranks_.size() > 1; }
  void share_weights() const;
  std::map<std::string, TensorMap> files_here() const;
  TensorMap moments_of_all() const;
  /// By the gradients over `divisor`.
  void move_weights(Group& group, double learning_rate, double divisor) const;
  void update_averages();
  TensorMap state_here() const;

  OptimizationOptions options_;
  std::shared_ptr<torch::nn::Module> model_;
  std::shared_ptr<torch::nn::Module> average_;
  Communicator& ranks_;
  std::vector<Group> groups_;           ///< of all parameters, without moments
  std::vector<Group> share_;            ///< of those that this rank moves
  std::vector<at::Tensor> parameters_;  ///< of all groups, in order
  std::vector<at::Tensor> averages_;    ///< of average_, for each of them
  std::map<double, std::vector<at::Tensor>> posthoc_averages_;
  std::int64_t updates_ = 0;
};

/// Copies every parameter and buffer of `source` to `target`, of the same architecture.
void copy_weights(const torch::nn::Module& source, torch::nn::Module& target);

}  // namespace crescendo::pipelines
