#include "core/progress.h"

#include <cmath>

#include <gtest/gtest.h>

namespace crescendo {

namespace {

TEST(FormatDurationTest, RoundsToSeconds) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(0.4), "0:00");
  EXPECT_EQ(format_duration(50.6), "0:51");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(61), "1:01");
  EXPECT_EQ(format_duration(3599), "59:59");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(100 * 3600), "100:00:00");
}

/// What is drawn while `action` runs. Standard error is no terminal here, so a line stands for
/// itself, and only the last one falls inside the ten seconds.
template <typename Action>
std::string drawn_by(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(ProgressTest, ClosesWithOneLine) {
  const std::string line = drawn_by([] {
    Progress progress("train", 8, "steps");
    for (std::uint64_t step = 1; step <= 8; ++step) progress.update(step, "loss 0.25");
  });
  EXPECT_TRUE(line.starts_with("train 100% 8/8 ")) << line;
  EXPECT_NE(line.find("steps/s in 0:00 loss 0.25\n"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
}

TEST(ProgressTest, CountsWhatIsDoneWhenTheTotalIsUnknown) {
  const std::string line = drawn_by([] {
    Progress progress("pack", 0, "samples");
    progress.update(3);
  });
  EXPECT_TRUE(line.starts_with("pack 3 ")) << line;
  EXPECT_EQ(line.find('%'), std::string::npos) << line;
}

TEST(ProgressTest, SaysNothingWhenNothingWasDone) {
  EXPECT_EQ(drawn_by([] { const Progress progress("train", 8, "steps", 5); }), "");
}

TEST(ProgressTest, RateCountsThisProcessOnly) {
  drawn_by([] {
    Progress progress("train", 1'000'000, "steps", 999'999);
    EXPECT_EQ(progress.rate(), 0);
    progress.update(1'000'000);
    EXPECT_GT(progress.rate(), 0);
    EXPECT_TRUE(std::isfinite(progress.rate()));
  });
}

}  // namespace

}  // namespace crescendo
