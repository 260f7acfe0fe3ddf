#include "tests/pipelines/training/counting_task.h"

#include <ATen/Functions.h>

namespace crescendo::pipelines {

namespace {

torch::nn::Linear line() {
  at::manual_seed(5);
  return torch::nn::Linear(3, 1);
}

}  // namespace

CountingTask::CountingTask(const OptimizationOptions& options)
    : model_(line()), average_(line()), optimization_(model_.ptr(), average_.ptr(), options) {}

ForwardPass CountingTask::forward() {
  const std::string key = std::to_string(next_);
  const at::Tensor points = at::sin(at::arange(6, at::kFloat).view({2, 3}) + next_++);
  return {(model_->forward(points) - points.sum(1, true)).square().squeeze(1), {key, key + "b"}};
}

}  // namespace crescendo::pipelines
