#include "diffusion/sampler.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

using Timesteps = std::vector<std::int64_t>;

Timesteps timesteps_of(const SamplerOptions& options) {
  return sampling_timesteps(NoiseSchedule({}), options);
}

/// a_t between two timesteps: log sigma is interpolated, as noise_levels() does it.
double alpha_cumprod_at(const NoiseSchedule& schedule, double timestep) {
  const auto log_sigma = [&](std::size_t t) { return -0.5 * std::log(schedule.snr()[t]); };
  const auto below = static_cast<std::size_t>(timestep);
  const double share = timestep - static_cast<double>(below);
  const double value =
      share == 0 ? log_sigma(below) : (1 - share) * log_sigma(below) + share * log_sigma(below + 1);
  return 1 / (1 + std::exp(2 * value));
}

/// The exact epsilon for data of N(mean, deviation^2), for every x_t.
Denoiser gaussian_denoiser(const NoiseSchedule& schedule, double mean, double deviation) {
  return [&schedule, mean, deviation](const at::Tensor& latents, double timestep) {
    const double alpha = alpha_cumprod_at(schedule, timestep);
    const double variance = alpha * deviation * deviation + 1 - alpha;
    return (latents - std::sqrt(alpha) * mean) * (std::sqrt(1 - alpha) / variance);
  };
}

TEST(SamplerTest, SpacingsAreTheReferences) {
  EXPECT_EQ(timesteps_of({.steps = 4, .timestep_spacing = "trailing"}),
            (Timesteps{999, 749, 499, 249}));
  EXPECT_EQ(timesteps_of({.steps = 3, .timestep_spacing = "trailing"}), (Timesteps{999, 666, 332}));
  EXPECT_EQ(timesteps_of({.steps = 4, .timestep_spacing = "leading"}),
            (Timesteps{751, 501, 251, 1}));
  EXPECT_EQ(timesteps_of({.steps = 4, .timestep_spacing = "leading", .steps_offset = 0}),
            (Timesteps{750, 500, 250, 0}));
  EXPECT_EQ(timesteps_of({.steps = 4, .timestep_spacing = "linspace"}),
            (Timesteps{999, 666, 333, 0}));
}

TEST(SamplerTest, EveryNumberOfStepsVisitsFallingTimestepsOfTheSchedule) {
  const NoiseSchedule schedule({});
  for (const char* spacing : {"trailing", "leading", "linspace"}) {
    for (std::int64_t steps = 1; steps <= 1000; ++steps) {
      const Timesteps timesteps = sampling_timesteps(
          schedule, {.steps = steps, .timestep_spacing = spacing, .steps_offset = 0});
      ASSERT_EQ(timesteps.size(), static_cast<std::size_t>(steps));
      ASSERT_LE(timesteps.front(), 999);
      ASSERT_GE(timesteps.back(), 0);
      for (std::size_t i = 1; i < timesteps.size(); ++i) {
        ASSERT_LT(timesteps[i], timesteps[i - 1]) << spacing << ", " << steps << " steps";
      }
    }
  }
}

TEST(SamplerTest, StepsMustFitTheSchedule) {
  EXPECT_EQ(error_text([] { timesteps_of({.steps = 1001}); }),
            "sample.steps: expected at most 1000 (diffusion.num_train_timesteps), found 1001");
  EXPECT_EQ(error_text([] { timesteps_of({.steps = 1000, .timestep_spacing = "leading"}); }),
            "sample.steps_offset: 1000 steps with offset 1 begin past the last timestep, 999");
}

/// The probability flow of normal data is known: it scales and shifts the noise.
TEST(SamplerTest, DdimConvergesToTheExactFlow) {
  const NoiseSchedule schedule({});
  constexpr double kMean = 3, kDeviation = 0.5;
  const at::Tensor noise = at::linspace(-3, 3, 64, at::kDouble);
  const double alpha = schedule.alphas_cumprod().back();
  const double start = std::sqrt(alpha * kDeviation * kDeviation + 1 - alpha);
  const at::Tensor exact = kMean + kDeviation / start * (noise - std::sqrt(alpha) * kMean);
  const auto error = [&](std::int64_t steps) {
    const at::Tensor latents =
        sample(schedule, {.steps = steps}, noise, gaussian_denoiser(schedule, kMean, kDeviation));
    return (latents - exact).abs().max().item<double>();
  };
  EXPECT_LT(error(50), 0.1);
  EXPECT_LT(error(200), error(50) / 2);
  EXPECT_LT(error(1000), 0.01);
}

/// Mean 3 is far outside [-1, 1], where a sampler that clips x0 would end. The last timestep still
/// has some signal, so the start is a draw of its marginal, not of N(0, 1).
TEST(SamplerTest, StochasticSamplersDrawFromTheData) {
  at::manual_seed(0);
  const NoiseSchedule schedule({});
  constexpr std::int64_t kCount = 20000;
  constexpr double kMean = 3, kDeviation = 0.5;
  const double alpha = schedule.alphas_cumprod().back();
  const double start = std::sqrt(alpha * kDeviation * kDeviation + 1 - alpha);
  const StepNoise step_noise = [](std::int64_t) { return at::randn({kCount}); };
  for (const SamplerOptions& options :
       {SamplerOptions{.sampler = "ddpm", .steps = 250},
        SamplerOptions{.sampler = "ddim", .steps = 250, .eta = 1},
        SamplerOptions{.sampler = "ddim", .steps = 250, .eta = 0.5},
        SamplerOptions{.sampler = "euler_a", .steps = 250, .scheduler = "karras"},
        SamplerOptions{.sampler = "dpm++2m_sde", .steps = 250}}) {
    const at::Tensor noise = std::sqrt(alpha) * kMean + start * at::randn({kCount});
    const at::Tensor latents = sample(schedule, options, noise,
                                      gaussian_denoiser(schedule, kMean, kDeviation), step_noise);
    EXPECT_NEAR(latents.mean().item<double>(), kMean, 0.03);
    EXPECT_NEAR(latents.std().item<double>(), kDeviation, 0.03);
  }
}

/// With eta 1 the first step from no signal at all keeps nothing of the noise: its share is the
/// root of 0, or of what rounding leaves of it.
TEST(SamplerTest, DdimOfEtaOneBeginsWithoutSignal) {
  const NoiseSchedule schedule(
      DiffusionOptions{.prediction_type = "sample", .rescale_betas_zero_snr = true});
  const at::Tensor noise = at::randn({8}, at::kDouble);
  const Denoiser constant = [](const at::Tensor& latents, double) {
    return at::full_like(latents, 0.5);
  };
  const StepNoise step_noise = [](std::int64_t) { return at::zeros({8}, at::kDouble); };
  for (std::int64_t steps = 2; steps <= 100; ++steps) {
    const at::Tensor latents =
        sample(schedule, {.steps = steps, .eta = 1}, noise, constant, step_noise);
    EXPECT_TRUE(latents.isfinite().all().item<bool>()) << steps;
  }
}

TEST(SamplerTest, PredictionTypesOfOneModelAgree) {
  const NoiseSchedule of_epsilon({});
  const at::Tensor noise = at::randn({2, 4, 2, 2}, at::kDouble);
  const Denoiser denoiser = gaussian_denoiser(of_epsilon, 0.3, 0.8);
  const at::Tensor expected = sample(of_epsilon, {.steps = 20}, noise, denoiser);
  for (const char* prediction_type : {"v_prediction", "sample"}) {
    const NoiseSchedule schedule(DiffusionOptions{.prediction_type = prediction_type});
    const auto converted = [&](const at::Tensor& latents, double timestep) {
      const double alpha = alpha_cumprod_at(schedule, timestep);
      const at::Tensor epsilon = denoiser(latents, timestep);
      const at::Tensor x0 = (latents - std::sqrt(1 - alpha) * epsilon) / std::sqrt(alpha);
      const at::Tensor timesteps =
          at::full({latents.size(0)}, static_cast<std::int64_t>(timestep), at::kLong);
      return schedule.target(x0, epsilon, timesteps);
    };
    const at::Tensor latents = sample(schedule, {.steps = 20}, noise, converted);
    EXPECT_TRUE(at::allclose(latents, expected, 0, 1e-9)) << prediction_type;
  }
}

TEST(SamplerTest, StepNoiseIsAskedForWhereItIsUsed) {
  const NoiseSchedule schedule({});
  const at::Tensor noise = at::randn({1, 2});
  const Denoiser denoiser = gaussian_denoiser(schedule, 0, 1);
  Timesteps asked;
  const StepNoise step_noise = [&](std::int64_t step) {
    asked.push_back(step);
    return at::zeros({1, 2});
  };
  sample(schedule, {.steps = 5}, noise, denoiser, step_noise);
  EXPECT_TRUE(asked.empty());
  sample(schedule, {.sampler = "ddpm", .steps = 5}, noise, denoiser, step_noise);
  EXPECT_EQ(asked, (Timesteps{0, 1, 2, 3}));
  EXPECT_THROW(sample(schedule, {.sampler = "ddpm", .steps = 5}, noise, denoiser),
               std::invalid_argument);
}

TEST(SamplerTest, TellsItsProgress) {
  const NoiseSchedule schedule({});
  Timesteps done;
  sample(schedule, {.steps = 3}, at::randn({1, 2}), gaussian_denoiser(schedule, 0, 1), {},
         [&](std::int64_t step, std::int64_t steps, const at::Tensor& x0) {
           EXPECT_EQ(steps, 3);
           EXPECT_EQ(x0.sizes(), (std::vector<std::int64_t>{1, 2}));
           done.push_back(step);
         });
  EXPECT_EQ(done, (Timesteps{1, 2, 3}));
}

TEST(SamplerTest, InitialNoiseIsNotOverwritten) {
  const NoiseSchedule schedule({});
  const at::Tensor noise = at::randn({1, 2});
  const at::Tensor before = noise.clone();
  sample(schedule, {.steps = 3}, noise, gaussian_denoiser(schedule, 0, 1));
  EXPECT_TRUE(noise.equal(before));
}

TEST(SamplerTest, GuidanceGoesFromUnconditionalThroughConditional) {
  const at::Tensor unconditional = at::zeros({2}) + 1;
  const at::Tensor conditional = at::zeros({2}) + 3;
  EXPECT_TRUE(guide(unconditional, conditional, 0).equal(unconditional));
  EXPECT_TRUE(guide(unconditional, conditional, 1).equal(conditional));
  EXPECT_TRUE(guide(unconditional, conditional, 2).equal(at::zeros({2}) + 5));
}

}  // namespace
}  // namespace crescendo::diffusion
