#include "pipelines/studies/line_chart.h"

#include <limits>

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

TEST(LineChartTest, DrawsACurveFromCornerToCorner) {
  const std::vector<Curve> curves = {{.colour = "red", .x = {0, 5, 10}, .y = {1, 10, 100}}};
  const std::string svg =
      line_chart({.title = "a < b", .logarithmic = true, .width = 560, .height = 300}, curves);
  EXPECT_NE(svg.find("<figcaption>a &lt; b</figcaption>"), std::string::npos);
  // The middle of a logarithmic axis is the middle of its exponents.
  EXPECT_NE(svg.find("d=\"M58.0 259.4L302.0 136.0L546.0 12.6\""), std::string::npos) << svg;
}

TEST(LineChartTest, LeavesOutWhatIsNotFinite) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Curve> curves = {
      {.colour = "red", .x = {0, 1, 2, 3}, .y = {1, kNan, 3, 2}, .low = {}, .high = {}}};
  const std::string svg = line_chart({}, curves);
  EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
  EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
}

TEST(LineChartTest, DrawsWhatHasNoExtent) {
  for (const std::vector<Curve>& curves : {std::vector<Curve>{},
                                           {{.colour = "red"}},
                                           {{.colour = "red", .x = {3}, .y = {0}}},
                                           {{.colour = "red", .x = {1, 2}, .y = {0.5, 0.5}}}}) {
    const std::string svg = line_chart({.logarithmic = true, .mark = 0.5}, curves);
    EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
    EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
    EXPECT_NE(svg.find("</svg>"), std::string::npos);
  }
}

}  // namespace
}  // namespace crescendo::pipelines
