#pragma once

#include <torch/nn/modules/linear.h>

#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {

/// The smallest thing that a training loop can train: a line through points that are a function of
/// their number.
class CountingTask : public TrainingTask {
 public:
  explicit CountingTask(const OptimizationOptions& options);

  Optimization& optimization() override { return optimization_; }
  nlohmann::json state() const override { return {{"next", next_}}; }
  void load_state(const nlohmann::json& state) override { next_ = state.at("next"); }
  void start() override {}
  ForwardPass forward() override;

  at::Tensor weight() const { return model_->weight; }

 private:
  torch::nn::Linear model_;
  torch::nn::Linear average_;
  Optimization optimization_;
  std::int64_t next_ = 0;
};

}  // namespace crescendo::pipelines
