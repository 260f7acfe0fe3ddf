#include "pipelines/optimization.h"

#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

torch::nn::Linear linear() {
  at::manual_seed(3);
  return torch::nn::Linear(5, 3);
}

void save(const Optimization& optimization, const fs::path& folder) {
  for (const auto& [name, tensors] : optimization.files()) save_tensors(folder / name, tensors);
}

/// A gradient for each parameter, a function of the step alone.
void set_gradients(torch::nn::Module& module, std::int64_t step) {
  for (at::Tensor& parameter : module.parameters()) {
    const at::Tensor index = at::arange(parameter.numel(), at::kFloat).view(parameter.sizes());
    parameter.mutable_grad() = at::sin(index * 0.7 + static_cast<double>(step)) * 0.5;
  }
}

TEST(LearningRateTest, WarmsUpLinearly) {
  OptimizationOptions options;
  options.learning_rate = 0.5;
  options.lr_warmup_steps = 4;
  for (const std::int64_t step : {0, 1, 2, 3}) {
    EXPECT_DOUBLE_EQ(learning_rate_at(options, step), 0.125 * static_cast<double>(step + 1));
  }
  EXPECT_EQ(learning_rate_at(options, 4), 0.5);
  EXPECT_EQ(learning_rate_at(options, 1'000'000), 0.5);
  options.lr_warmup_steps = 0;
  EXPECT_EQ(learning_rate_at(options, 0), 0.5);
}

TEST(LearningRateTest, CosineFallsToZero) {
  OptimizationOptions options;
  options.learning_rate = 2;
  options.lr_scheduler = "cosine";
  options.lr_warmup_steps = 10;
  options.max_train_steps = 110;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 9), 2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 10), 2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 35), 1 + std::cos(std::numbers::pi / 4));
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 60), 1);
  EXPECT_NEAR(learning_rate_at(options, 110), 0, 1e-15);
  EXPECT_NEAR(learning_rate_at(options, 500), 0, 1e-15);
}

TEST(EmaDecayTest, RampsUpToTheDecay) {
  OptimizationOptions options;
  options.ema_decay = 0.9;
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 0), 0.1);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 8), 0.5);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 1000), 0.9);
}

TEST(OptimizationTest, StepsAsAdamWAndAveragesTheWeights) {
  OptimizationOptions options;
  options.learning_rate = 0.03;
  options.lr_warmup_steps = 2;
  options.max_grad_norm = 0;
  options.adam_beta1 = 0.8;
  options.adam_beta2 = 0.95;
  options.adam_weight_decay = 0.1;
  options.adam_epsilon = 1e-3;
  options.ema_decay = 0.3;
  torch::nn::Linear model = linear();
  torch::nn::Linear average(5, 3);
  Optimization optimization(model.ptr(), average.ptr(), options);
  at::Tensor weight = model->weight.detach().to(at::kDouble).clone();
  at::Tensor mean = at::zeros_like(weight), square = at::zeros_like(weight);
  at::Tensor averaged = weight.clone();
  for (std::int64_t step = 0; step < 6; ++step) {
    set_gradients(*model, step);
    const at::Tensor g = model->weight.grad().to(at::kDouble);
    optimization.step(step);
    EXPECT_FALSE(model->weight.grad().defined());
    // arXiv 1711.05101, Algorithm 2.
    const double t = static_cast<double>(step + 1), lr = learning_rate_at(options, step);
    weight = weight * (1 - lr * 0.1);
    mean = 0.8 * mean + 0.2 * g;
    square = 0.95 * square + 0.05 * g * g;
    weight = weight - lr * (mean / (1 - std::pow(0.8, t))) /
                          (at::sqrt(square / (1 - std::pow(0.95, t))) + 1e-3);
    const double decay =
        std::min(0.3, (1 + static_cast<double>(step)) / (10 + static_cast<double>(step)));
    averaged = decay * averaged + (1 - decay) * weight;
    EXPECT_LT((model->weight.detach() - weight).abs().max().item<double>(), 1e-6) << step;
    EXPECT_LT((average->weight - averaged).abs().max().item<double>(), 1e-6) << step;
  }
  EXPECT_FALSE(average->weight.requires_grad());
}

TEST(OptimizationTest, ClipsTheNormOfAllGradientsTogether) {
  OptimizationOptions options;
  options.adam_beta1 = 0;
  options.adam_epsilon = 1e6;  // so large that a step is proportional to the gradient
  options.learning_rate = 1e6;
  options.adam_weight_decay = 0;
  options.max_grad_norm = 0.25;
  torch::nn::Linear model = linear();
  const at::Tensor before = model->weight.detach().clone();
  Optimization optimization(model.ptr(), nullptr, options);
  set_gradients(*model, 0);
  const at::Tensor gradient = model->weight.grad().clone();
  const double norm =
      at::cat({gradient.flatten(), model->bias.grad().flatten()}).norm().item<double>();
  ASSERT_GT(norm, 0.5);
  EXPECT_NEAR(optimization.step(0), norm, 1e-6);
  const at::Tensor moved = before - model->weight.detach();
  EXPECT_TRUE(at::allclose(moved, gradient * (0.25 / norm), 1e-3, 1e-6));
}

TEST(OptimizationTest, NonFiniteGradientChangesNothing) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const TemporaryFolder folder;
    torch::nn::Linear model = linear(), average = linear();
    Optimization optimization(model.ptr(), average.ptr(), {});
    set_gradients(*model, 0);
    optimization.step(0);
    fs::create_directories(folder / "a");
    fs::create_directories(folder / "b");
    save(optimization, folder / "a");
    set_gradients(*model, 1);
    model->bias.mutable_grad()[1] = bad;
    EXPECT_FALSE(std::isfinite(optimization.step(1)));
    save(optimization, folder / "b");
    for (const char* name : {"weights.safetensors", "ema.safetensors", "optimizer.safetensors"}) {
      const TensorMap left = load_tensors(folder / "a" / name),
                      right = load_tensors(folder / "b" / name);
      for (const auto& [key, tensor] : left) EXPECT_TRUE(at::equal(tensor, right.at(key))) << key;
    }
  }
}

TEST(OptimizationTest, GoesOnAsIfNeverSaved) {
  const TemporaryFolder folder;
  OptimizationOptions options;
  options.learning_rate = 0.1;
  torch::nn::Linear model = linear(), average = linear();
  Optimization optimization(model.ptr(), average.ptr(), options);
  for (std::int64_t step = 0; step < 6; ++step) {
    if (step == 3) save(optimization, folder.path());
    set_gradients(*model, step);
    optimization.step(step);
  }
  torch::nn::Linear other(5, 3), other_average(5, 3);
  Optimization resumed(other.ptr(), other_average.ptr(), options);
  resumed.load(folder.path());
  for (std::int64_t step = 3; step < 6; ++step) {
    set_gradients(*other, step);
    resumed.step(step);
  }
  EXPECT_TRUE(at::equal(other->weight, model->weight));
  EXPECT_TRUE(at::equal(other->bias, model->bias));
  EXPECT_TRUE(at::equal(other_average->weight, average->weight));
}

TEST(OptimizationTest, RefusesTheStateOfAnotherModel) {
  const TemporaryFolder folder;
  torch::nn::Linear model = linear();
  save(Optimization(model.ptr(), nullptr, {}), folder.path());
  torch::nn::Linear wider(7, 3), same(5, 3), average(5, 3);
  EXPECT_NE(data_error_text([&] { Optimization(wider.ptr(), nullptr, {}).load(folder.path()); }),
            "");
  EXPECT_EQ(
      data_error_text([&] { Optimization(same.ptr(), average.ptr(), {}).load(folder.path()); }),
      (folder / "ema.safetensors").string() + ": the file is missing");
  save_tensors(folder / "optimizer.safetensors", {{"exp_avg.weight", at::zeros({3, 5})}});
  EXPECT_EQ(data_error_text([&] { Optimization(same.ptr(), nullptr, {}).load(folder.path()); }),
            (folder / "optimizer.safetensors").string() +
                ": tensor 'exp_avg_sq.weight' is missing or of another shape; expected the "
                "optimizer of this model");
}

}  // namespace
}  // namespace crescendo::pipelines
