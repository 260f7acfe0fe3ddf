#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "diffusion/noise_schedule.h"
#include "diffusion/sampler.h"
#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

const char* const kSamplers[] = {"ddim", "ddpm",    "euler",      "euler_a",
                                 "heun", "dpm++2m", "dpm++2m_sde"};

SamplerOptions options_of(const char* sampler) {
  return {.sampler = sampler, .steps = 8, .timestep_spacing = "trailing"};
}

struct Drawing {
  at::Tensor latents;
  std::vector<std::int64_t> done;
  std::int64_t steps = 0;
  at::Tensor x0;  ///< as told last
};

/// With a model that sees noise everywhere.
Drawing draw(const char* sampler, const InitialLatents& initial) {
  at::manual_seed(1);
  Drawing drawing;
  const at::Tensor noise = at::randn({2, 1, 4, 4});
  drawing.latents = sample(
      NoiseSchedule({}), options_of(sampler), noise,
      [](const at::Tensor& latents, double /*timestep*/) { return 0.9 * latents; },
      [](std::int64_t /*step*/) {
        return at::randn({2, 1, 4, 4});
      },
      [&](std::int64_t done, std::int64_t steps, const at::Tensor& x0) {
        drawing.done.push_back(done);
        drawing.steps = steps;
        drawing.x0 = x0;
      },
      initial);
  return drawing;
}

TEST(InitialLatentsTest, WhatIsMaskedEndsAsItWas) {
  const at::Tensor x0 = at::randn({1, 1, 4, 4});
  at::Tensor mask = at::zeros({1, 1, 4, 4});
  mask.slice(3, 0, 2).fill_(1);
  for (const char* sampler : kSamplers) {
    for (const std::int64_t first_step : {0, 3}) {
      const at::Tensor end =
          draw(sampler, {.x0 = x0, .first_step = first_step, .mask = mask}).latents;
      const at::Tensor kept = x0.expand_as(end).slice(3, 2, 4);
      EXPECT_TRUE(at::equal(end.slice(3, 2, 4), kept)) << sampler;
      EXPECT_GT((end - x0).slice(3, 0, 2).abs().min().item<double>(), 1e-6) << sampler;
    }
  }
}

TEST(InitialLatentsTest, MaskOfOnesIsNoMask) {
  const at::Tensor x0 = at::randn({1, 1, 4, 4});
  for (const char* sampler : kSamplers) {
    const at::Tensor end = draw(sampler, {.x0 = x0, .first_step = 2}).latents;
    const at::Tensor masked =
        draw(sampler, {.x0 = x0, .first_step = 2, .mask = at::ones({1, 1, 4, 4})}).latents;
    EXPECT_TRUE(at::equal(end, masked)) << sampler;
  }
}

TEST(InitialLatentsTest, StepsThatAreLeftOutAreNotTold) {
  const Drawing drawing = draw("ddim", {.x0 = at::zeros({1, 1, 4, 4}), .first_step = 5});
  EXPECT_EQ(drawing.done, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(drawing.steps, 3);
}

TEST(InitialLatentsTest, LastStepTellsTheEnd) {
  // At no noise these are x0 itself.
  for (const char* sampler : {"ddim", "euler", "euler_a", "heun", "dpm++2m", "dpm++2m_sde"}) {
    const Drawing drawing = draw(sampler, {});
    EXPECT_LT((drawing.x0 - drawing.latents).abs().max().item<double>(), 1e-4) << sampler;
  }
}

TEST(InitialLatentsTest, LessStrengthIsFewerStepsAndNearer) {
  const at::Tensor x0 = at::randn({1, 1, 4, 4});
  double before = 0;
  for (const std::int64_t first_step : {7, 4, 0}) {
    const at::Tensor end = draw("ddim", {.x0 = x0, .first_step = first_step}).latents;
    const double distance = (end - x0).abs().mean().item<double>();
    EXPECT_GT(distance, before) << first_step;
    before = distance;
  }
}

TEST(FirstStepTest, StrengthIsAShareOfTheSteps) {
  EXPECT_EQ(first_step_of(50, 1), 0);
  EXPECT_EQ(first_step_of(50, 0.75), 13);  // int(37.5) are taken
  EXPECT_EQ(first_step_of(50, 0.02), 49);
  EXPECT_EQ(error_text([] { first_step_of(10, 0.05); }),
            "strength: expected more than 0 and at most 1, and at least one step; found 0.05, "
            "which takes 0 of 10 steps");
  EXPECT_NE(error_text([] { first_step_of(10, 1.2); }), "");
}

TEST(RescaleGuidanceTest, DeviationIsThatOfTheConditional) {
  const at::Tensor conditional = at::randn({3, 2, 4, 4});
  const at::Tensor guided = 4 * conditional + at::randn({3, 2, 4, 4});
  const auto deviation = [](const at::Tensor& x) { return x.flatten(1).std(1); };
  const at::Tensor all = rescale_guidance(guided, conditional, 1);
  EXPECT_LT((deviation(all) - deviation(conditional)).abs().max().item<double>(), 1e-5);
  EXPECT_TRUE(at::equal(rescale_guidance(guided, conditional, 0), guided));
}

}  // namespace
}  // namespace crescendo::diffusion
