#include "pipelines/training/schedules.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

TEST(LearningRateTest, WarmsUpLinearly) {
  for (const char* scheduler : {"constant", "constant_with_warmup"}) {
    OptimizationOptions options;
    options.learning_rate = 0.5;
    options.lr_scheduler = scheduler;
    options.lr_warmup_steps = 4;
    for (const std::int64_t step : {0, 1, 2, 3}) {
      EXPECT_DOUBLE_EQ(learning_rate_at(options, step), 0.125 * static_cast<double>(step));
    }
    EXPECT_EQ(learning_rate_at(options, 4), 0.5);
    EXPECT_EQ(learning_rate_at(options, 1'000'000), 0.5);
    options.lr_warmup_steps = 0;
    EXPECT_EQ(learning_rate_at(options, 0), 0.5);
  }
}

TEST(LearningRateTest, CosineFallsToZero) {
  OptimizationOptions options;
  options.learning_rate = 2;
  options.lr_scheduler = "cosine";
  options.lr_warmup_steps = 10;
  options.max_train_steps = 110;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 9), 1.8);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 10), 2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 35), 1 + std::cos(std::numbers::pi / 4));
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 60), 1);
  EXPECT_NEAR(learning_rate_at(options, 110), 0, 1e-15);
  EXPECT_NEAR(learning_rate_at(options, 500), 0, 1e-15);
}

TEST(LearningRateTest, LinearFallsToZero) {
  OptimizationOptions options;
  options.learning_rate = 2;
  options.lr_scheduler = "linear";
  options.lr_warmup_steps = 10;
  options.max_train_steps = 110;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 10), 2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 35), 1.5);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 110), 0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 500), 0);
}

TEST(EmaDecayTest, RampsUpToTheDecay) {
  OptimizationOptions options;
  options.ema_decay = 0.9;
  EXPECT_EQ(ema_decay_at(options, 0), 0);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 8), 0.5);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 1000), 0.9);
}

TEST(EmaDecayTest, WarmsUpByAPower) {
  OptimizationOptions options;
  options.ema_decay = 0.999;
  options.use_ema_warmup = true;
  options.ema_inv_gamma = 2;
  options.ema_power = 0.5;
  EXPECT_EQ(ema_decay_at(options, 0), 0);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 6), 0.5);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 30), 0.75);
  EXPECT_DOUBLE_EQ(ema_decay_at(options, 100'000'000), 0.999);
}

}  // namespace
}  // namespace crescendo::pipelines
