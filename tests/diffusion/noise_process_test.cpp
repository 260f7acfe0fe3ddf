#include "diffusion/noise_process.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "diffusion/edm_process.h"
#include "diffusion/loss.h"
#include "diffusion/sampler.h"
#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

DiffusionOptions edm_options() { return {.formulation = "edm"}; }
DiffusionOptions flow_options() { return {.formulation = "flow_matching"}; }

/// Levels of low, middle and high noise, and latents noised by each.
struct Batch {
  explicit Batch(const NoiseProcess& process)
      : levels(process.levels(std::vector<std::int64_t>{process.places() / 50, process.places() / 2,
                                                        process.places() - 3})),
        x0(at::randn({3, 2, 4, 4}, at::kDouble)),
        noise(at::randn({3, 2, 4, 4}, at::kDouble)) {}

  at::Tensor levels;
  at::Tensor x0;
  at::Tensor noise;
};

TEST(NoiseProcessTest, QuantilesOfEdmAreTheGoldenSigmas) {
  const std::vector<double> golden{.0418433, .0647086, .0868372, .109707, .134071, .160529, .189686,
                                   .222236,  .259035,  .301194,  .350216, .408206, .478253, .565119,
                                   .676642,  .826914,  1.04469,  1.40195, 2.16804};
  const auto process = make_noise_process(edm_options());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_NEAR(process->quantile(static_cast<double>(i + 1) / 20), golden[i], 4e-6 * golden[i]);
  }
  EXPECT_EQ(process->quantile(0), 0);
  EXPECT_TRUE(std::isinf(process->quantile(1)));
  EXPECT_FALSE(process->place_at(0.5));
}

TEST(NoiseProcessTest, LevelsRiseWithTheirPlacesAndAreFiniteAtTheEnds) {
  for (const DiffusionOptions& options : {edm_options(), flow_options(), DiffusionOptions{}}) {
    const auto process = make_noise_process(options);
    const std::int64_t last = process->places() - 1;
    const at::Tensor levels =
        process->levels(std::vector<std::int64_t>{0, 1, last / 3, last / 2, last - 1, last});
    EXPECT_TRUE(levels.isfinite().all().item<bool>()) << options.formulation;
    EXPECT_GT(levels.diff().min().item<double>(), 0) << options.formulation;
    EXPECT_TRUE(process->weights(levels).isfinite().all().item<bool>());
  }
}

TEST(NoiseProcessTest, APlaceIsItsShareOfTheDraws) {
  for (const DiffusionOptions& options : {edm_options(), flow_options()}) {
    const auto process = make_noise_process(options);
    for (const double share : {0.03, 0.4, 0.97}) {
      const auto place = static_cast<std::int64_t>(share * static_cast<double>(process->places()));
      const double level = process->levels(std::vector<std::int64_t>{place}).item<double>();
      EXPECT_NEAR(level, process->quantile(share), 1e-7 * level) << options.formulation;
    }
  }
}

TEST(NoiseProcessTest, FlowTimesOfEqualWidthHaveTheirPlaces) {
  for (const char* sampling : {"uniform", "logit_normal"}) {
    DiffusionOptions options = flow_options();
    options.time_sampling = sampling;
    options.logit_mean = 0.3;
    options.shift = 3;
    const auto process = make_noise_process(options);
    EXPECT_EQ(process->place_at(0), 0);
    EXPECT_EQ(process->place_at(1), process->places());
    for (const double time : {0.1, 0.5, 0.85}) {
      const double share =
          static_cast<double>(*process->place_at(time)) / static_cast<double>(process->places());
      EXPECT_NEAR(process->quantile(share), time, 1e-6) << sampling;
    }
  }
}

TEST(NoiseProcessTest, FlowShiftMovesTimesAsTheirRatioOfNoise) {
  DiffusionOptions options = flow_options();
  options.time_sampling = "uniform";
  options.shift = 3;
  // t' / (1 - t') = shift t / (1 - t)
  EXPECT_NEAR(make_noise_process(options)->quantile(0.5), 0.75, 1e-12);
}

TEST(NoiseProcessTest, EdmPreconditionsAsThePaper) {
  const Preconditioning c = preconditioning(2, 0.5);
  EXPECT_NEAR(c.skip, 0.25 / 4.25, 1e-15);
  EXPECT_NEAR(c.out, 1 / std::sqrt(4.25), 1e-15);
  EXPECT_NEAR(c.in, 1 / std::sqrt(4.25), 1e-15);
  EXPECT_NEAR(c.noise, std::log(2) / 4, 1e-15);
}

TEST(NoiseProcessTest, TheTargetDenoisesToTheCleanLatents) {
  at::manual_seed(1);
  for (const DiffusionOptions& options : {edm_options(), flow_options()}) {
    const auto process = make_noise_process(options);
    const Batch batch(*process);
    const at::Tensor noised = process->add_noise(batch.x0, batch.noise, batch.levels);
    const at::Tensor target = process->target(batch.x0, batch.noise, batch.levels);
    const ModelInput input = process->model_input(noised, batch.levels);
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto sigma = batch.levels[i].item<double>();
      double told = 0;
      at::Tensor given;
      const Denoiser denoiser = [&](const at::Tensor& latents, double timestep) {
        given = latents;
        told = timestep;
        return target[i];
      };
      const double timestep = options.formulation == "edm" ? std::log(sigma) / 4 : 1000 * sigma;
      const at::Tensor x0 = process->denoise(noised[i], {sigma, timestep}, denoiser);
      EXPECT_LT((x0 - batch.x0[i]).abs().max().item<double>(), 1e-12) << options.formulation;
      EXPECT_TRUE(at::allclose(given, input.latents[i]));
      EXPECT_NEAR(told, input.timesteps[i].item<double>(), 1e-4);
    }
    EXPECT_EQ(input.timesteps.scalar_type(), at::kFloat);
  }
}

TEST(NoiseProcessTest, EdmGivesTheModelUnitVarianceAndAsksForIt) {
  at::manual_seed(2);
  const auto process = make_noise_process(edm_options());
  const Batch shape(*process);
  const at::Tensor x0 = 0.5 * at::randn({3, 40'000}, at::kDouble);
  const at::Tensor noise = at::randn({3, 40'000}, at::kDouble);
  const auto deviation_is_one = [](const at::Tensor& values) {
    // 5 standard deviations of the estimate
    EXPECT_LT((values.std(1) - 1).abs().max().item<double>(), 5 / std::sqrt(80'000.0));
  };
  const at::Tensor noised = process->add_noise(x0, noise, shape.levels);
  deviation_is_one(process->model_input(noised, shape.levels).latents);
  deviation_is_one(process->target(x0, noise, shape.levels));
}

/// The factor of the model's error at one level.
double weight(DiffusionOptions options, const char* weighting, double level) {
  options.loss_weighting = weighting;
  return make_noise_process(options)->weights(at::tensor({level}, at::kDouble)).item<double>();
}

TEST(NoiseProcessTest, EdmWeightsAreThoseOfTheCleanLatents) {
  for (const double sigma : {0.01, 0.4, 3.0}) {
    const double out = preconditioning(sigma, 0.5).out;
    const double snr = 1 / (sigma * sigma);
    // lambda(sigma) out^2 = 1
    EXPECT_NEAR(weight(edm_options(), "edm", sigma), 1, 1e-6);
    EXPECT_EQ(weight(edm_options(), "uniform", sigma), 1);
    const auto expect = [&](const char* weighting, double of_x0) {
      EXPECT_NEAR(weight(edm_options(), weighting, sigma), of_x0 * out * out, 1e-6 * of_x0);
    };
    expect("min_snr", std::min(snr, 5.0));
    expect("p2", snr / (1 + snr));
    expect("debiased", 1 / sigma);
  }
}

TEST(NoiseProcessTest, FlowWeightsAreThoseOfTheVelocity) {
  for (const double t : {0.02, 0.5, 0.9}) {
    const double snr = (1 - t) * (1 - t) / (t * t);
    EXPECT_EQ(weight(flow_options(), "uniform", t), 1);
    EXPECT_NEAR(weight(flow_options(), "min_snr", t), std::min(snr, 5.0) * t * t, 1e-6);
    EXPECT_NEAR(weight(flow_options(), "p2", t), (1 - t) * (1 - t) / (1 + snr), 1e-6);
    EXPECT_NEAR(weight(flow_options(), "debiased", t), t * (1 - t), 1e-6);
    EXPECT_NEAR(weight(flow_options(), "edm", t), (1 - t) * (1 - t) + 4 * t * t, 1e-5);
  }
}

/// Error at the end of a sampler whose model knows data of N(mean, deviation^2) exactly, against
/// the exact flow. x0 + sigma noise and (1 - t) x0 + t noise are normal with a mean and a deviation
/// of their own, and the flow keeps a point as many deviations from the mean. The last step, to no
/// noise, is exact in every sampler: it is not what is measured.
double error_of(const DiffusionOptions& diffusion, const SamplerOptions& options) {
  constexpr double kMean = 3, kDeviation = 0.5;
  const auto process = make_noise_process(diffusion);
  const bool is_edm = diffusion.formulation == "edm";
  const auto signal = [&](double level) { return is_edm ? 1 : 1 - level; };
  const auto deviation = [&](double level) {
    return std::hypot(signal(level) * kDeviation, level);
  };
  const std::vector<NoiseLevel> levels = process->sampling_levels(options);
  const double first = levels.front().sigma;
  const double last = levels[levels.size() - 2].sigma;
  const at::Tensor noise = at::linspace(-3, 3, 64, at::kDouble);
  const at::Tensor start = noise * process->initial_deviation(options, first);
  const at::Tensor before_last =
      signal(last) * kMean + (start - signal(first) * kMean) * (deviation(last) / deviation(first));
  const auto x0_of = [&](const at::Tensor& x, double level) {
    const double gain = signal(level) * kDeviation * kDeviation / std::pow(deviation(level), 2);
    return kMean + gain * (x - signal(level) * kMean);
  };
  const Denoiser denoiser = [&](const at::Tensor& given, double timestep) {
    const double level = is_edm ? std::exp(4 * timestep) : timestep / 1000;
    const Preconditioning c = preconditioning(level, diffusion.sigma_data);
    const at::Tensor x = is_edm ? given / c.in : given;
    const at::Tensor x0 = x0_of(x, level);
    return is_edm ? (x0 - c.skip * x) / c.out : (x - x0) / level;
  };
  const at::Tensor found = sample(*process, options, noise, denoiser);
  return (found - x0_of(before_last, last)).abs().max().item<double>();
}

TEST(NoiseProcessTest, SamplersConvergeAtTheirOrder) {
  for (const DiffusionOptions& diffusion : {edm_options(), flow_options()}) {
    const auto rate = [&](const char* sampler) {
      const double coarse = error_of(diffusion, {.sampler = sampler, .steps = 40});
      const double fine = error_of(diffusion, {.sampler = sampler, .steps = 160});
      return std::log(coarse / fine) / std::log(4.0);
    };
    EXPECT_NEAR(rate("euler"), 1, 0.2) << diffusion.formulation;
    EXPECT_NEAR(rate("heun"), 2, 0.3) << diffusion.formulation;
  }
}

TEST(NoiseProcessTest, EdmSamplersEndAtTheData) {
  for (const char* sampler : {"euler", "heun", "dpm++2m"}) {
    EXPECT_LT(error_of(edm_options(), {.sampler = sampler, .steps = 100}), 0.05) << sampler;
  }
}

TEST(NoiseProcessTest, ASamplerOfAnotherFormulationIsNamed) {
  EXPECT_EQ(error_text([] { check_fit(edm_options(), SamplerOptions{.sampler = "ddim"}); }),
            "sample.sampler: expected euler, euler_a, heun, dpm++2m or dpm++2m_sde for a model of "
            "formulation \"edm\", found \"ddim\", which steps through discrete timesteps");
  EXPECT_EQ(error_text([] { check_fit(flow_options(), SamplerOptions{.sampler = "dpm++2m"}); }),
            "sample.sampler: expected euler or heun for a model of formulation \"flow_matching\", "
            "found \"dpm++2m\", which takes latents to be x0 + sigma noise");
  EXPECT_EQ(
      error_text([] { check_fit(flow_options(), {.sampler = "heun", .scheduler = "karras"}); }),
      "sample.scheduler: expected \"discrete\" for a model of formulation \"flow_matching\", "
      "whose times diffusion.shift curves, found \"karras\"");
  EXPECT_EQ(error_text([] { check_fit(DiffusionOptions{}, {.sampler = "heun", .sigma_max = 20}); }),
            "sample.sigma_min, sigma_max, rho: expected their defaults for a model of formulation "
            "\"discrete\", whose noise levels are its own; found 0.002, 20 and 7");
}

TEST(NoiseProcessTest, WhatTheFormulationSaysItselfIsRefused) {
  EXPECT_EQ(error_text([] {
              make_noise_process({.formulation = "edm", .prediction_type = "v_prediction"});
            }),
            "diffusion.prediction_type: expected \"epsilon\", its default, with formulation = "
            "\"edm\", which has no timesteps with betas and says itself what the model predicts; "
            "found \"v_prediction\"");
  EXPECT_EQ(error_text([] {
              make_noise_process({.formulation = "flow_matching", .rescale_betas_zero_snr = true});
            }),
            "diffusion.rescale_betas_zero_snr: expected false, its default, with formulation = "
            "\"flow_matching\", which has no timesteps with betas and says itself what the model "
            "predicts; found true");
  EXPECT_EQ(error_text([] { make_noise_process({.formulation = "ddpm"}); }),
            "diffusion.formulation: expected one of discrete, edm, flow_matching, found \"ddpm\"");
}

}  // namespace
}  // namespace crescendo::diffusion
