#include "pipelines/training/optimization.h"

#include <cmath>
#include <limits>

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
    const double decay = ema_decay_at(options, step);
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

TEST(OptimizationTest, StepsAsSgd) {
  for (const bool nesterov : {false, true}) {
    OptimizationOptions options;
    options.optimizer = "sgd";
    options.learning_rate = 0.1;
    options.sgd_momentum = 0.8;
    options.sgd_nesterov = nesterov;
    options.sgd_weight_decay = 0.05;
    options.max_grad_norm = 0;
    torch::nn::Linear model = linear();
    Optimization optimization(model.ptr(), nullptr, options);
    at::Tensor weight = model->weight.detach().to(at::kDouble).clone();
    at::Tensor momentum = at::zeros_like(weight);
    for (std::int64_t step = 0; step < 5; ++step) {
      set_gradients(*model, step);
      const at::Tensor g = model->weight.grad().to(at::kDouble) + 0.05 * weight;
      optimization.step(step);
      momentum = 0.8 * momentum + g;
      weight = weight - 0.1 * (nesterov ? g + 0.8 * momentum : momentum);
      EXPECT_LT((model->weight.detach() - weight).abs().max().item<double>(), 1e-6) << step;
    }
  }
}

TEST(OptimizationTest, SgdWithoutMomentumKeepsNothing) {
  OptimizationOptions options;
  options.optimizer = "sgd";
  options.learning_rate = 0.5;
  options.sgd_momentum = 0;
  options.max_grad_norm = 0;
  torch::nn::Linear model = linear();
  Optimization optimization(model.ptr(), nullptr, options);
  const at::Tensor before = model->bias.detach().clone();
  set_gradients(*model, 2);
  const at::Tensor expected = before - 0.5 * model->bias.grad();
  optimization.step(0);
  EXPECT_TRUE(at::allclose(model->bias.detach(), expected));
  EXPECT_EQ(optimization.files().at("optimizer.safetensors").size(), 1U) << "the count alone";
}

TEST(OptimizationTest, SparesNormsAndBiasesFromDecayOnlyWhenAsked) {
  for (const bool decays : {true, false}) {
    OptimizationOptions options;
    options.learning_rate = 0.5;
    options.adam_weight_decay = 0.25;
    options.decay_norms_and_biases = decays;
    torch::nn::Linear model = linear();
    const at::Tensor weight = model->weight.detach().clone();
    const at::Tensor bias = model->bias.detach().clone();
    Optimization optimization(model.ptr(), nullptr, options);
    for (at::Tensor& parameter : model->parameters()) {
      parameter.mutable_grad() = at::zeros_like(parameter);
    }
    optimization.step(0);
    EXPECT_TRUE(at::allclose(model->weight.detach(), weight * 0.875));
    EXPECT_TRUE(at::allclose(model->bias.detach(), decays ? bias * 0.875 : bias));
  }
}

TEST(OptimizationTest, DividesTheGradientsFirst) {
  for (const double clip : {0.0, 0.25}) {
    OptimizationOptions options;
    options.optimizer = "sgd";
    options.learning_rate = 1;
    options.max_grad_norm = clip;
    torch::nn::Linear plain = linear(), divided = linear();
    Optimization one(plain.ptr(), nullptr, options), other(divided.ptr(), nullptr, options);
    set_gradients(*plain, 0);
    set_gradients(*divided, 0);
    for (at::Tensor& parameter : divided->parameters()) parameter.mutable_grad() *= 1024;
    const double norm = one.step(0);
    EXPECT_EQ(other.step(0, 1024), norm);
    EXPECT_TRUE(at::equal(plain->weight, divided->weight));
  }
}

TEST(OptimizationTest, LeavesFrozenParametersAlone) {
  torch::nn::Linear model = linear(), average = linear();
  model->weight.set_requires_grad(false);
  const at::Tensor weight = model->weight.clone();
  const at::Tensor bias = model->bias.detach().clone();
  Optimization optimization(model.ptr(), average.ptr(), {.posthoc_ema = {0.1}});
  model->bias.mutable_grad() = at::ones({3});
  optimization.step(0);
  EXPECT_TRUE(at::equal(model->weight, weight));
  EXPECT_TRUE(at::equal(average->weight, weight));
  EXPECT_FALSE(at::equal(model->bias, bias));
  const auto files = optimization.files();
  EXPECT_EQ(files.at("weights.safetensors").size(), 2U);
  EXPECT_EQ(files.at("optimizer.safetensors").size(), 3U);
  EXPECT_TRUE(files.at("optimizer.safetensors").contains("exp_avg.bias"));
  EXPECT_EQ(files.at("posthoc_ema.safetensors").size(), 1U);
}

TEST(OptimizationTest, AStepThatWasSkippedDoesNotCount) {
  OptimizationOptions options;
  options.learning_rate = 0.1;
  options.posthoc_ema = {0.1};
  torch::nn::Linear skipping = linear(), plain = linear(), one = linear(), two = linear();
  Optimization skipped(skipping.ptr(), one.ptr(), options), whole(plain.ptr(), two.ptr(), options);
  for (std::int64_t step = 0; step < 3; ++step) {
    set_gradients(*skipping, step);
    if (step == 1) skipping->bias.mutable_grad()[0] = NAN;
    if (!std::isfinite(skipped.step(step))) skipped.discard_gradients();
    if (step == 1) continue;
    set_gradients(*plain, step);
    whole.step(step);
  }
  EXPECT_EQ(skipped.updates(), 2);
  EXPECT_TRUE(at::equal(skipping->weight, plain->weight));
  EXPECT_TRUE(at::equal(one->weight, two->weight));
  EXPECT_TRUE(at::equal(skipped.posthoc_averages().at(0.1).at("weight"),
                        whole.posthoc_averages().at(0.1).at("weight")));
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
  for (const char* optimizer : {"adamw", "sgd"}) {
    const TemporaryFolder folder;
    OptimizationOptions options;
    options.optimizer = optimizer;
    options.learning_rate = 0.1;
    options.posthoc_ema = {0.05, 0.2};
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
    EXPECT_EQ(resumed.updates(), 3);
    for (std::int64_t step = 3; step < 6; ++step) {
      set_gradients(*other, step);
      resumed.step(step);
    }
    const auto found = resumed.files();
    for (const auto& [file, tensors] : optimization.files()) {
      for (const auto& [name, tensor] : tensors) {
        EXPECT_TRUE(at::equal(found.at(file).at(name), tensor)) << file << " " << name;
      }
    }
  }
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
                ": tensor 'exp_avg.bias' is missing or of another shape; expected the "
                "optimizer of this model");
}

}  // namespace
}  // namespace crescendo::pipelines
