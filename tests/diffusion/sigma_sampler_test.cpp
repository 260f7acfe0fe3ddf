#include "diffusion/sigma_sampler.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "diffusion/sigma_schedule.h"
#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

constexpr double kMean = 3, kDeviation = 0.5;

/// Distance of the end from the exact flow of dx / dsigma for data of N(mean, deviation^2), from a
/// start of 64 points. The last step, to no noise, is the model's x0 in every sampler; it is exact.
double error_of(const SamplerOptions& options) {
  const NoiseSchedule schedule({});
  const std::vector<NoiseLevel> levels = noise_levels(schedule, options);
  const double first = levels.front().sigma;
  const double last = levels[levels.size() - 2].sigma;
  const auto deviation_at = [](double sigma) { return std::hypot(sigma, kDeviation); };
  const at::Tensor noise = at::linspace(-3, 3, 64, at::kDouble);
  const at::Tensor start =
      noise * (options.sampler.starts_with("dpm++") ? std::hypot(first, 1) : first);
  const at::Tensor before = (start - kMean) * (deviation_at(last) / deviation_at(first));
  const at::Tensor exact = kMean + before * std::pow(kDeviation / deviation_at(last), 2);
  std::size_t calls = 0;
  const Denoiser denoiser = [&](const at::Tensor& latents, double /*timestep*/) {
    // Heun's sampler asks at 0, 1, 1, 2, 2 ...
    const double sigma = levels[options.sampler == "heun" ? (calls + 1) / 2 : calls].sigma;
    ++calls;
    const at::Tensor x = latents * std::hypot(sigma, 1);
    return (x - kMean) * (sigma / std::pow(deviation_at(sigma), 2));
  };
  const at::Tensor found = sample(schedule, options, noise, denoiser);
  return (found - exact).abs().max().item<double>();
}

TEST(SigmaSamplerTest, ConvergesAtItsOrder) {
  const auto rate = [](const char* sampler) {
    const SamplerOptions coarse{.sampler = sampler, .steps = 40, .scheduler = "karras"};
    const SamplerOptions fine{.sampler = sampler, .steps = 160, .scheduler = "karras"};
    return std::log(error_of(coarse) / error_of(fine)) / std::log(4.0);
  };
  EXPECT_NEAR(rate("euler"), 1, 0.2);
  EXPECT_GT(rate("heun"), 1.7);
  EXPECT_GT(rate("dpm++2m"), 1.7);
}

TEST(SigmaSamplerTest, HigherOrdersAreNearer) {
  const auto error = [](const char* sampler) {
    return error_of({.sampler = sampler, .steps = 20, .scheduler = "karras"});
  };
  EXPECT_LT(error("heun"), error("euler") / 2);
  EXPECT_LT(error("dpm++2m"), error("euler") / 2);
}

TEST(SigmaSamplerTest, LevelsFallToNothing) {
  for (const char* beta_schedule : {"linear", "scaled_linear", "squaredcos_cap_v2"}) {
    const NoiseSchedule schedule(DiffusionOptions{.beta_schedule = beta_schedule});
    for (const char* sampler : {"euler", "dpm++2m"}) {
      for (const char* scheduler : {"discrete", "karras", "exponential"}) {
        for (const char* spacing : {"trailing", "leading", "linspace"}) {
          for (const std::int64_t steps : {1, 2, 3, 20, 50, 999}) {
            const auto levels = noise_levels(schedule, {.sampler = sampler,
                                                        .steps = steps,
                                                        .scheduler = scheduler,
                                                        .timestep_spacing = spacing,
                                                        .steps_offset = 0});
            ASSERT_EQ(levels.size(), static_cast<std::size_t>(steps) + 1);
            ASSERT_EQ(levels.back().sigma, 0);
            for (std::size_t i = 1; i < levels.size(); ++i) {
              ASSERT_LT(levels[i].sigma, levels[i - 1].sigma)
                  << sampler << " " << scheduler << " " << spacing << " " << steps;
            }
            ASSERT_LE(levels.front().timestep, 999);
            ASSERT_GE(levels[levels.size() - 2].timestep, 0);
          }
        }
      }
    }
  }
}

TEST(SigmaSamplerTest, AsksTheModelAsOftenAsItsOrderSays) {
  const NoiseSchedule schedule({});
  const auto calls = [&](const char* sampler) {
    int count = 0;
    const Denoiser denoiser = [&](const at::Tensor& latents, double /*timestep*/) {
      ++count;
      return latents;
    };
    const StepNoise step_noise = [](std::int64_t /*step*/) { return at::zeros({2}); };
    sample(schedule, {.sampler = sampler, .steps = 10}, at::ones({2}), denoiser, step_noise);
    return count;
  };
  EXPECT_EQ(calls("euler"), 10);
  EXPECT_EQ(calls("euler_a"), 10);
  EXPECT_EQ(calls("heun"), 19);
  EXPECT_EQ(calls("dpm++2m"), 10);
  EXPECT_EQ(calls("dpm++2m_sde"), 10);
}

TEST(SigmaSamplerTest, BeginsWithoutSignalAtFiniteNoise) {
  const NoiseSchedule schedule(
      DiffusionOptions{.prediction_type = "v_prediction", .rescale_betas_zero_snr = true});
  const auto levels = noise_levels(schedule, {.sampler = "euler", .steps = 5});
  EXPECT_NEAR(levels.front().sigma, 4096, 0.01);
}

TEST(SigmaSamplerTest, StepsMustFitTheSchedule) {
  const NoiseSchedule schedule({});
  EXPECT_EQ(error_text([&] { check_fit(schedule, {.sampler = "euler", .steps = 1001}); }),
            "sample.steps: expected at most 1000 (diffusion.num_train_timesteps), found 1001");
  EXPECT_EQ(error_text([&] {
              check_fit(schedule,
                        {.sampler = "heun", .steps = 1000, .timestep_spacing = "leading"});
            }),
            "sample.steps_offset: 1000 steps with offset 1 begin past the last timestep, 999");
}

}  // namespace
}  // namespace crescendo::diffusion
