#include "pipelines/monitoring/decimated_series.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(SmoothedValueTest, IsTheWeightedMeanOfAllValues) {
  SmoothedValue smoothed(4);  // a decay of 0.75
  EXPECT_EQ(smoothed.value(), 0);
  smoothed.add(8);
  EXPECT_DOUBLE_EQ(smoothed.value(), 8);
  smoothed.add(1);
  EXPECT_DOUBLE_EQ(smoothed.value(), (0.75 * 8 + 1) / (0.75 + 1));
  smoothed.add(3);
  EXPECT_DOUBLE_EQ(smoothed.value(), (0.5625 * 8 + 0.75 * 1 + 3) / (0.5625 + 0.75 + 1));
}

TEST(SmoothedValueTest, PassesOverWhatIsNotFinite) {
  SmoothedValue smoothed(4);
  smoothed.add(8);
  smoothed.add(kInfinity);
  smoothed.add(std::nan(""));
  EXPECT_DOUBLE_EQ(smoothed.value(), 8);
}

TEST(DecimatedSeriesTest, KeepsAShortCurveAsItIs) {
  DecimatedSeries series(8);
  for (int i = 0; i < 8; ++i) series.add(10 * i, 0.5 * i);
  ASSERT_EQ(series.points().size(), 8);
  for (int i = 0; i < 8; ++i) {
    const DecimatedSeries::Point& point = series.points()[i];
    EXPECT_EQ(point.first_step, 10 * i);
    EXPECT_EQ(point.last_step, 10 * i);
    EXPECT_EQ(point.min, 0.5 * i);
    EXPECT_EQ(point.mean(), 0.5 * i);
  }
  EXPECT_EQ(series.last(), 3.5);
}

TEST(DecimatedSeriesTest, KeepsExtremesAndMeansOfALongCurve) {
  DecimatedSeries series(8);
  const auto value = [](std::int64_t step) {
    if (step == 700) return 1000.0;  // a spike
    if (step == 701) return -1000.0;
    return std::sin(static_cast<double>(step));
  };
  for (std::int64_t step = 1; step <= 1000; ++step) series.add(step, value(step));
  ASSERT_EQ(series.points().size(), 8);  // of 128 values each, the last of 104
  std::int64_t next = 1;
  for (const DecimatedSeries::Point& point : series.points()) {
    EXPECT_EQ(point.first_step, next);
    EXPECT_EQ(point.last_step, std::min<std::int64_t>(next + 127, 1000));
    double min = kInfinity;
    double max = -kInfinity;
    double sum = 0;
    for (std::int64_t step = point.first_step; step <= point.last_step; ++step) {
      min = std::min(min, value(step));
      max = std::max(max, value(step));
      sum += value(step);
    }
    EXPECT_EQ(point.min, min);
    EXPECT_EQ(point.max, max);
    EXPECT_NEAR(point.mean(), sum / static_cast<double>(point.count), 1e-12);
    next = point.last_step + 1;
  }
  EXPECT_EQ(next, 1001);
  EXPECT_EQ(series.points()[5].max, 1000);
  EXPECT_EQ(series.points()[5].min, -1000);
}

TEST(DecimatedSeriesTest, StaysBounded) {
  DecimatedSeries series(100);
  for (std::int64_t step = 1; step <= 1'000'000; ++step) {
    series.add(step, 1);
    ASSERT_LE(series.points().size(), 100);
  }
  EXPECT_GE(series.points().size(), 50);
}

TEST(DecimatedSeriesTest, PassesOverWhatIsNotFinite) {
  DecimatedSeries series(8);
  series.add(1, std::nan(""));
  EXPECT_TRUE(series.points().empty());
  series.add(2, 3);
  series.add(3, kInfinity);
  EXPECT_EQ(series.points().size(), 1);
  EXPECT_EQ(series.last(), 3);
}

}  // namespace
}  // namespace crescendo::pipelines
