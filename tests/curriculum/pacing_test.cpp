#include "curriculum/pacing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/core/error_text.h"

namespace crescendo::curriculum {
namespace {

/// A loss without a trend, as a noisy minibatch loss looks to the pacing.
double noisy_loss(std::uint64_t step) {
  std::array<float, 1> noise{};
  RandomStream(0, Purpose::kNoise, step).fill_normal(noise);
  return 1 + 0.1 * static_cast<double>(noise[0]);
}

TEST(PacingTest, StageEndsOnTheStepAfterPatienceRunsOut) {
  Pacing pacing({.patience = 3});
  EXPECT_FALSE(pacing.observe(1.0));
  for (int waited = 1; waited <= 3; ++waited) {
    EXPECT_FALSE(pacing.observe(1.0));
    EXPECT_EQ(pacing.waited(), waited);
  }
  EXPECT_EQ(pacing.observe(1.0), StageEnd::kPatience);
  EXPECT_EQ(pacing.steps_in_stage(), 5);
}

TEST(PacingTest, OnlyALowerLossIsANewBest) {
  Pacing pacing({.patience = 3});
  pacing.observe(1.0);
  pacing.observe(1.0);
  EXPECT_EQ(pacing.waited(), 1);
  pacing.observe(0.5);
  EXPECT_EQ(pacing.waited(), 0);
  EXPECT_EQ(pacing.best(), 0.5);
}

TEST(PacingTest, ImprovementMustExceedMinDelta) {
  Pacing pacing({.patience = 10, .min_delta = 0.1});
  pacing.observe(1.0);
  pacing.observe(0.95);
  EXPECT_EQ(pacing.waited(), 1);
  EXPECT_EQ(pacing.best(), 1.0);
  pacing.observe(0.85);
  EXPECT_EQ(pacing.waited(), 0);
}

TEST(PacingTest, StageIsCapped) {
  Pacing pacing({.patience = 100, .max_stage_steps = 4});
  for (int step = 0; step < 3; ++step) EXPECT_FALSE(pacing.observe(1.0 - 0.1 * step));
  EXPECT_EQ(pacing.observe(0.1), StageEnd::kMaxStageSteps);
}

TEST(PacingTest, FixedStagesDoNotAskTheLoss) {
  Pacing pacing({.rule = "fixed", .patience = 1, .max_stage_steps = 7});
  for (int stage = 0; stage < 3; ++stage) {
    for (int step = 1; step < 7; ++step) EXPECT_FALSE(pacing.observe(step));
    EXPECT_EQ(pacing.observe(9), StageEnd::kMaxStageSteps);
    pacing.restart();
  }
  EXPECT_EQ(error_text([] { Pacing({.rule = "fixed"}); }),
            "curriculum.pacing.max_stage_steps: expected the steps of a stage, for rule = "
            "\"fixed\", found 0");
}

TEST(PacingTest, SmoothedLossIsAnExponentialAverageFromTheFirst) {
  Pacing pacing({.ema = 0.5});
  pacing.observe(4.0);
  EXPECT_EQ(pacing.best(), 4.0);
  pacing.observe(2.0);
  EXPECT_EQ(pacing.best(), 3.0);
  pacing.observe(1.0);
  EXPECT_EQ(pacing.best(), 2.0);
}

TEST(PacingTest, NothingOfAStageReachesTheNext) {
  const PacingOptions options{.patience = 5, .ema = 0.9};
  Pacing pacing(options);
  for (int step = 0; step < 4; ++step) pacing.observe(0.01);
  pacing.restart();
  EXPECT_EQ(pacing.state(), Pacing(options).state());
  pacing.observe(7.0);
  EXPECT_EQ(pacing.best(), 7.0);
}

TEST(PacingTest, NonFiniteLossIsNotCounted) {
  for (const double ema : {0.0, 0.9}) {
    Pacing pacing({.patience = 2, .ema = ema});
    pacing.observe(1.0);
    const auto before = pacing.state();
    for (int step = 0; step < 10; ++step) {
      for (const double loss : {NAN, INFINITY, -INFINITY}) EXPECT_FALSE(pacing.observe(loss));
    }
    EXPECT_EQ(pacing.state(), before);
  }
}

TEST(PacingTest, StageUnderNoiseLastsAboutNineFifthsOfPatience) {
  // At patience 200: mean 359, median 333, first decile 222, last 532.
  constexpr std::size_t kStages = 1500;
  Pacing pacing({});
  std::vector<double> lengths;
  for (std::uint64_t step = 0; lengths.size() < kStages; ++step) {
    if (!pacing.observe(noisy_loss(step))) continue;
    lengths.push_back(static_cast<double>(pacing.steps_in_stage()));
    pacing.restart();
  }
  std::ranges::sort(lengths);
  const double mean = std::accumulate(lengths.begin(), lengths.end(), 0.0) / kStages;
  EXPECT_NEAR(mean, 359, 12);
  EXPECT_NEAR(lengths[kStages / 2], 333, 15);
  EXPECT_NEAR(lengths[kStages / 10], 222, 10);
  EXPECT_NEAR(lengths[kStages * 9 / 10], 532, 30);
}

TEST(PacingTest, StateThroughTextPacesIdentically) {
  const PacingOptions options{.patience = 20, .ema = 0.7, .min_delta = 1e-3};
  for (const std::uint64_t stop : {0, 1, 7, 33}) {
    Pacing whole(options);
    Pacing first_part(options);
    for (std::uint64_t step = 0; step < stop; ++step) {
      whole.observe(noisy_loss(step));
      first_part.observe(noisy_loss(step));
    }
    Pacing resumed(options);
    resumed.load_state(nlohmann::json::parse(first_part.state().dump()));
    for (std::uint64_t step = stop; step < stop + 100; ++step) {
      ASSERT_EQ(resumed.observe(noisy_loss(step)), whole.observe(noisy_loss(step))) << step;
      ASSERT_EQ(resumed.state(), whole.state()) << step;
    }
  }
}

TEST(PacingTest, MalformedStateChangesNothing) {
  Pacing pacing({});
  pacing.observe(1.0);
  const auto before = pacing.state();
  for (const char* text : {"null", "{}", R"({"best": "low"})", R"({"best": 1, "waited": 2})"}) {
    const std::string message =
        data_error_text([&] { pacing.load_state(nlohmann::json::parse(text)); });
    EXPECT_TRUE(message.starts_with("curriculum state: not a pacing state")) << message;
    EXPECT_EQ(pacing.state(), before);
  }
}

TEST(PacingTest, OptionsAreChecked) {
  EXPECT_EQ(error_text([] { Pacing({.ema = 1}); }),
            "curriculum.pacing.ema: expected number from 0 to 0.9999, found 1.0");
  EXPECT_EQ(error_text([] { Pacing({.patience = 0}); }),
            "curriculum.pacing.patience: expected integer, at least 1, found 0");
}

}  // namespace
}  // namespace crescendo::curriculum
