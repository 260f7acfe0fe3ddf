#include "pipelines/monitoring/training_status.h"

#include <cmath>

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

TEST(TrainingStatusTest, SaysNothingBeforeTheFirstStep) { EXPECT_EQ(TrainingStatus().note(), ""); }

TEST(TrainingStatusTest, SaysEverythingOfAStep) {
  TrainingStatus status;
  status.observe({.loss = 0.12344,
                  .learning_rate = 1e-4,
                  .detail = "stage 3/8",
                  .images = 16,
                  .seconds = 1.3,
                  .data_seconds = 0.039,
                  .memory_bytes = 4'120'000'000});
  EXPECT_EQ(status.note(), "loss 0.1234  stage 3/8  lr 1.0e-04  12.3 images/s  data 3%  4.1 GB");
}

TEST(TrainingStatusTest, LeavesOutWhatThereIsNot) {
  TrainingStatus status;
  status.observe({.loss = 0.5, .learning_rate = 2.5e-5, .images = 512, .seconds = 0.5});
  EXPECT_EQ(status.note(), "loss 0.5000  lr 2.5e-05  1024 images/s  data 0%");
}

TEST(TrainingStatusTest, SmoothsOverAboutAHundredSteps) {
  TrainingStatus status;
  StepSummary step{.loss = 1, .images = 10, .seconds = 1, .data_seconds = 0};
  status.observe(step);
  EXPECT_DOUBLE_EQ(status.loss(), 1);  // not drawn towards 0
  step = {.loss = 2, .images = 10, .seconds = 3, .data_seconds = 3};
  status.observe(step);
  EXPECT_DOUBLE_EQ(status.loss(), (0.99 * 1 + 2) / 1.99);
  // The rate of all images in all the time: a mean of rates would favour the fast steps.
  EXPECT_DOUBLE_EQ(status.images_per_second(), 10 / ((0.99 * 1 + 3) / 1.99));
  EXPECT_DOUBLE_EQ(status.data_share(), 3 / (0.99 * 1 + 3));
  for (int i = 0; i < 98; ++i) status.observe(step);
  const double weight_of_first = std::pow(0.99, 99) * 0.01 / (1 - std::pow(0.99, 100));
  EXPECT_NEAR(status.loss(), 2 - weight_of_first, 1e-12);
}

TEST(TrainingStatusTest, PassesOverALossThatIsNotFinite) {
  TrainingStatus status;
  status.observe({.loss = 0.5, .images = 1, .seconds = 1});
  status.observe({.loss = std::nan(""), .images = 1, .seconds = 1});
  EXPECT_DOUBLE_EQ(status.loss(), 0.5);
}

}  // namespace
}  // namespace crescendo::pipelines
