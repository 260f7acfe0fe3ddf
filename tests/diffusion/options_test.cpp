#include "diffusion/options.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

TEST(OptionsTest, DefaultsAreStableDiffusions) {
  const DiffusionOptions options;
  EXPECT_EQ(options.num_train_timesteps, 1000);
  EXPECT_EQ(options.beta_schedule, "scaled_linear");
  EXPECT_EQ(options.beta_start, 0.00085);
  EXPECT_EQ(options.beta_end, 0.012);
  EXPECT_EQ(options.prediction_type, "epsilon");
  EXPECT_NO_THROW(check(options));
  EXPECT_NO_THROW(check(SamplerOptions{}));
}

TEST(OptionsTest, UnknownChoicesAreNamed) {
  EXPECT_EQ(error_text([] { check(DiffusionOptions{.beta_schedule = "cosine"}); }),
            "diffusion.beta_schedule: expected one of linear, scaled_linear, squaredcos_cap_v2, "
            "found \"cosine\"");
  EXPECT_EQ(error_text([] { check(DiffusionOptions{.prediction_type = "v"}); }),
            "diffusion.prediction_type: expected one of epsilon, v_prediction, sample, found "
            "\"v\"");
  EXPECT_EQ(error_text([] { check(SamplerOptions{.sampler = "lms"}); }),
            "sample.sampler: expected one of ddim, ddpm, euler, euler_a, heun, dpm++2m, "
            "dpm++2m_sde, found \"lms\"");
}

TEST(OptionsTest, BetasMustLeaveSignalAndNoise) {
  for (const auto& [start, end] : {std::pair(0.0, 0.02), {0.02, 0.01}, {0.1, 1.0}}) {
    const std::string message =
        error_text([&] { check(DiffusionOptions{.beta_start = start, .beta_end = end}); });
    EXPECT_TRUE(
        message.starts_with("diffusion.beta_start, diffusion.beta_end: expected 0 < "
                            "beta_start <= beta_end < 1, found "))
        << message;
  }
}

TEST(OptionsTest, EpsilonNeedsSignalAtEveryTimestep) {
  EXPECT_EQ(error_text([] { check(DiffusionOptions{.rescale_betas_zero_snr = true}); }),
            "diffusion.rescale_betas_zero_snr: expected false with prediction_type = \"epsilon\", "
            "found true: where there is no signal, the noise tells nothing of the image; use "
            "\"v_prediction\"");
}

TEST(OptionsTest, CurvedSchedulersNeedASamplerOfSigmas) {
  EXPECT_EQ(
      error_text([] { check(SamplerOptions{.sampler = "ddim", .scheduler = "karras"}); }),
      "sample.scheduler: expected \"discrete\" with sampler = \"ddim\", found \"karras\"; for "
      "\"karras\" take euler, euler_a, heun, dpm++2m or dpm++2m_sde");
  EXPECT_NO_THROW(check(SamplerOptions{.sampler = "heun", .scheduler = "karras"}));
}

TEST(OptionsTest, RangesAreChecked) {
  EXPECT_EQ(error_text([] { check(SamplerOptions{.eta = 1.5}); }),
            "sample.eta: expected number from 0 to 1, found 1.5");
  EXPECT_EQ(error_text([] { check(SamplerOptions{.steps = 0}); }),
            "sample.steps: expected integer, at least 1, found 0");
  EXPECT_NE(error_text([] { check(DiffusionOptions{.snr_gamma = 0}); }), "");
}

}  // namespace
}  // namespace crescendo::diffusion
