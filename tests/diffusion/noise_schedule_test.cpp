#include "diffusion/noise_schedule.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::diffusion {
namespace {

const DiffusionOptions kLinear{.beta_schedule = "linear", .beta_start = 1e-4, .beta_end = 0.02};
const DiffusionOptions kCosine{.beta_schedule = "squaredcos_cap_v2"};
const DiffusionOptions kScaledLinear{};

/// Golden values of eight significant digits.
void expect_snr(const DiffusionOptions& options, const std::map<std::size_t, double>& golden) {
  const NoiseSchedule schedule(options);
  ASSERT_EQ(schedule.snr().size(), 1000U);
  for (const auto& [timestep, snr] : golden) {
    EXPECT_NEAR(schedule.snr()[timestep], snr, 1e-7 * snr) << timestep;
  }
}

TEST(NoiseScheduleTest, SnrOfTheLinearSchedule) {
  expect_snr(kLinear, {{0, 9999.0},
                       {1, 4546.3577},
                       {100, 8.5366696},
                       {250, 1.089528},
                       {500, 0.084359549},
                       {999, 4.0359927e-05}});
}

TEST(NoiseScheduleTest, SnrOfTheCosineSchedule) {
  expect_snr(kCosine, {{0, 24221.327},
                       {1, 11437.497},
                       {100, 34.181143},
                       {250, 5.4887868},
                       {500, 0.9696096},
                       {999, 2.4287669e-09}});
}

TEST(NoiseScheduleTest, ScaledLinearIsLinearInTheRootOfBeta) {
  const NoiseSchedule schedule(kScaledLinear);
  const auto alphas = schedule.alphas_cumprod();
  const auto root_of_beta = [&](std::size_t t) { return std::sqrt(1 - alphas[t] / alphas[t - 1]); };
  EXPECT_NEAR(alphas[0], 1 - 0.00085, 1e-12);
  EXPECT_NEAR(root_of_beta(999), std::sqrt(0.012), 1e-9);
  EXPECT_NEAR(root_of_beta(500) - root_of_beta(499), root_of_beta(2) - root_of_beta(1), 1e-9);
}

TEST(NoiseScheduleTest, SnrFallsWithEveryTimestep) {
  for (const DiffusionOptions& base : {kLinear, kCosine, kScaledLinear}) {
    for (const std::int64_t count : {1, 2, 10, 1000}) {
      DiffusionOptions options = base;
      options.num_train_timesteps = count;
      const NoiseSchedule schedule(options);
      ASSERT_EQ(schedule.snr().size(), static_cast<std::size_t>(count));
      for (std::size_t t = 1; t < schedule.snr().size(); ++t) {
        ASSERT_LT(schedule.snr()[t], schedule.snr()[t - 1]) << t;
      }
    }
  }
}

TEST(NoiseScheduleTest, RescaledToZeroSnrKeepsItsBeginning) {
  for (DiffusionOptions options : {kLinear, kCosine, kScaledLinear}) {
    options.prediction_type = "v_prediction";
    const NoiseSchedule plain(options);
    options.rescale_betas_zero_snr = true;
    const NoiseSchedule rescaled(options);
    EXPECT_EQ(rescaled.alphas_cumprod().back(), 0);
    EXPECT_NEAR(rescaled.alphas_cumprod().front(), plain.alphas_cumprod().front(), 1e-15);
    for (std::size_t t = 1; t < 1000; ++t) ASSERT_LT(rescaled.snr()[t], rescaled.snr()[t - 1]);
    const at::Tensor x0 = at::randn({1, 4, 2, 2});
    const at::Tensor noise = at::randn_like(x0);
    EXPECT_TRUE(rescaled.add_noise(x0, noise, at::tensor({999}, at::kLong)).equal(noise));
  }
}

TEST(NoiseScheduleTest, NoisingKeepsUnitVariance) {
  const NoiseSchedule schedule(kScaledLinear);
  const at::Tensor x0 = at::randn({8, 4, 64, 64});
  const at::Tensor timesteps = at::tensor({0, 100, 300, 500, 700, 900, 998, 999}, at::kLong);
  const at::Tensor noisy = schedule.add_noise(x0, at::randn_like(x0), timesteps);
  EXPECT_TRUE(at::allclose(noisy.flatten(1).var(1), at::ones({8}), 0, 0.1));
}

/// v is what x_t becomes when it is turned a quarter circle, so x0 and noise come back from both.
TEST(NoiseScheduleTest, VelocityAndNoisyLatentsGiveBackBoth) {
  const NoiseSchedule schedule(kCosine);
  const at::Tensor x0 = at::randn({3, 4, 2, 2}, at::kDouble);
  const at::Tensor noise = at::randn_like(x0);
  const at::Tensor timesteps = at::tensor({0, 500, 999}, at::kLong);
  const at::Tensor noisy = schedule.add_noise(x0, noise, timesteps);
  const at::Tensor velocity = schedule.velocity(x0, noise, timesteps);
  const at::Tensor zero = at::zeros_like(x0);
  const at::Tensor x0_again =
      schedule.add_noise(noisy, zero, timesteps) - schedule.add_noise(zero, velocity, timesteps);
  EXPECT_TRUE(at::allclose(x0_again, x0, 0, 1e-12));
}

TEST(NoiseScheduleTest, TargetFollowsThePredictionType) {
  const at::Tensor x0 = at::randn({2, 1, 2, 2});
  const at::Tensor noise = at::randn_like(x0);
  const at::Tensor timesteps = at::tensor({10, 800}, at::kLong);
  const auto target = [&](const char* prediction_type) {
    const NoiseSchedule schedule(DiffusionOptions{.prediction_type = prediction_type});
    return schedule.target(x0, noise, timesteps);
  };
  EXPECT_TRUE(target("epsilon").equal(noise));
  EXPECT_TRUE(target("sample").equal(x0));
  EXPECT_TRUE(target("v_prediction").equal(NoiseSchedule({}).velocity(x0, noise, timesteps)));
}

TEST(NoiseScheduleTest, TensorsKeepTheirDtype) {
  const NoiseSchedule schedule(kLinear);
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    const at::Tensor x0 = at::ones({2, 3}, dtype);
    EXPECT_EQ(schedule.add_noise(x0, x0, at::tensor({1, 2}, at::kLong)).scalar_type(), dtype);
  }
}

TEST(NoiseScheduleTest, TimestepBeyondTheScheduleIsAnError) {
  const NoiseSchedule schedule(kLinear);
  const at::Tensor x0 = at::ones({1, 3});
  EXPECT_ANY_THROW(schedule.add_noise(x0, x0, at::tensor({1000}, at::kLong)));
}

}  // namespace
}  // namespace crescendo::diffusion
