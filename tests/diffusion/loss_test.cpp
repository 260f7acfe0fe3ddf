#include "diffusion/loss.h"

#include <cmath>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "diffusion/noise_schedule.h"

namespace crescendo::diffusion {
namespace {

DiffusionOptions make_options(const std::string& schedule, const std::string& prediction_type,
                              const std::string& weighting) {
  return {.beta_schedule = schedule,
          .beta_start = 1e-4,
          .beta_end = 0.02,
          .prediction_type = prediction_type,
          .loss_weighting = weighting};
}

/// Golden values of six significant digits, in float64 and in the tensor of a batch.
void expect_weights(const DiffusionOptions& options, const std::map<std::int64_t, double>& golden) {
  const NoiseSchedule schedule(options);
  for (const auto& [timestep, weight] : golden) {
    const double snr = schedule.snr()[static_cast<std::size_t>(timestep)];
    EXPECT_NEAR(loss_weight(options, snr), weight, 1e-5 * weight) << timestep;
    const at::Tensor batch = schedule.weights(at::tensor({timestep}, at::kLong));
    EXPECT_NEAR(batch.item<double>(), weight, 1e-5 * weight) << timestep;
  }
}

TEST(LossTest, MinSnrOnEpsilon) {
  expect_weights(make_options("linear", "epsilon", "min_snr"),
                 {{0, .00050005}, {100, .585709}, {250, 1}, {500, 1}, {999, 1}});
  expect_weights(make_options("squaredcos_cap_v2", "epsilon", "min_snr"),
                 {{0, .00020643}, {100, .146279}, {250, .910948}, {500, 1}});
}

TEST(LossTest, MinSnrOnVelocity) {
  expect_weights(make_options("linear", "v_prediction", "min_snr"),
                 {{0, .0005}, {100, .524292}, {250, .521423}, {500, .0777967}});
  expect_weights(make_options("squaredcos_cap_v2", "v_prediction", "min_snr"),
                 {{0, .000206421}, {100, .142122}, {250, .77056}, {500, .492285}});
}

TEST(LossTest, MinSnrOnSampleIsTheClippedSnr) {
  expect_weights(make_options("linear", "sample", "min_snr"),
                 {{0, 5}, {100, 5}, {250, 1.089528}, {500, 0.0843595}});
}

TEST(LossTest, P2OnEpsilon) {
  expect_weights(make_options("linear", "epsilon", "p2"),
                 {{0, .0001}, {100, .104858}, {250, .478577}, {500, .922203}});
  expect_weights(make_options("squaredcos_cap_v2", "epsilon", "p2"),
                 {{0, 4.12842e-05}, {100, .0284243}, {250, .154112}, {500, .507715}});
}

TEST(LossTest, P2TakesItsExponent) {
  DiffusionOptions options = make_options("linear", "epsilon", "p2");
  options.p2_gamma = 0.5;
  options.p2_k = 2;
  EXPECT_NEAR(loss_weight(options, 7), 1.0 / 3.0, 1e-15);
}

TEST(LossTest, MinSnrWeighsOneWhereThereIsNoSignal) {
  for (const char* prediction_type : {"epsilon", "v_prediction", "sample"}) {
    EXPECT_EQ(loss_weight(make_options("linear", prediction_type, "min_snr"), 0), 1);
  }
  EXPECT_EQ(loss_weight(make_options("linear", "epsilon", "p2"), 0), 1);
}

TEST(LossTest, DebiasedOnEpsilonIsTheInverseRootOfTheSnr) {
  expect_weights(
      make_options("linear", "epsilon", "debiased"),
      {{0, 0.0100005}, {250, 1 / std::sqrt(1.089528)}, {500, 1 / std::sqrt(0.084359549)}});
}

TEST(LossTest, EdmIsTheWeightOfTheDenoiserAtItsNoiseLevel) {
  const NoiseSchedule schedule(make_options("linear", "sample", "edm"));
  for (const std::size_t t : {0, 100, 999}) {
    const double sigma = 1 / std::sqrt(schedule.snr()[t]);
    const double weight = (sigma * sigma + 0.25) / (sigma * 0.5 * sigma * 0.5);
    EXPECT_NEAR(loss_weight(schedule.options(), schedule.snr()[t]), weight, 1e-12 * weight);
  }
}

/// One and the same wrong x0, told as epsilon, v or x0, costs the same under these weightings.
TEST(LossTest, WeightingsMeanTheSameForEveryPrediction) {
  const at::Tensor x0 = at::randn({6, 4, 3, 3}, at::kDouble);
  const at::Tensor noise = at::randn_like(x0);
  const at::Tensor timesteps = at::tensor({10, 100, 300, 500, 700, 900}, at::kLong);
  const at::Tensor wrong_x0 = x0 + at::randn_like(x0);
  for (const std::string weighting : {"min_snr", "p2", "debiased", "edm"}) {
    const auto loss = [&](const std::string& prediction_type) {
      const NoiseSchedule schedule(make_options("linear", prediction_type, weighting));
      const at::Tensor noisy = schedule.add_noise(x0, noise, timesteps);
      const at::Tensor zero = at::zeros_like(x0);
      const at::Tensor noise_rate = schedule.add_noise(zero, at::ones_like(x0), timesteps);
      const at::Tensor wrong_noise =
          (noisy - schedule.add_noise(wrong_x0, zero, timesteps)) / noise_rate;
      const at::Tensor prediction = schedule.target(wrong_x0, wrong_noise, timesteps);
      return training_loss_per_sample(schedule, prediction, x0, noise, timesteps);
    };
    const at::Tensor of_epsilon = loss("epsilon");
    EXPECT_TRUE(at::allclose(loss("v_prediction"), of_epsilon, 1e-4, 0)) << weighting;
    EXPECT_TRUE(at::allclose(loss("sample"), of_epsilon, 1e-4, 0)) << weighting;
  }
}

TEST(LossTest, IsTheWeightedMeanOfEachSample) {
  const DiffusionOptions options = make_options("linear", "sample", "min_snr");
  const NoiseSchedule schedule(options);
  const at::Tensor x0 = at::zeros({2, 3, 4, 5});
  const at::Tensor prediction = at::stack({at::full({3, 4, 5}, 2.0), at::full({3, 4, 5}, 3.0)});
  const at::Tensor timesteps = at::tensor({0, 500}, at::kLong);
  const at::Tensor loss =
      training_loss_per_sample(schedule, prediction, x0, at::randn_like(x0), timesteps);
  ASSERT_EQ(loss.sizes(), at::IntArrayRef({2}));
  EXPECT_NEAR(loss[0].item<double>(), 4 * 5, 1e-4);
  EXPECT_NEAR(loss[1].item<double>(), 9 * 0.084359549, 1e-5);
}

TEST(LossTest, IsFloat32WhateverThePrediction) {
  const at::Tensor prediction = at::full({1, 4}, 300.0, at::kHalf);  // its square has no half
  const at::Tensor loss = mean_squared_error(prediction, at::zeros({1, 4}, at::kHalf));
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  EXPECT_EQ(loss.item<float>(), 90000.0F);
}

}  // namespace
}  // namespace crescendo::diffusion
