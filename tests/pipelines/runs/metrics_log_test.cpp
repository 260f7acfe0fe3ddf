#include "pipelines/runs/metrics_log.h"

#include <fstream>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/log.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

class MetricsLogTest : public testing::Test {
 protected:
  void SetUp() override { log::also_to_file(folder_ / "log.txt"); }
  void TearDown() override { log::start(false); }

  std::size_t count_in_log(const std::string& text) const {
    spdlog::default_logger()->flush();
    const std::string log = read_file(folder_ / "log.txt");
    std::size_t count = 0;
    for (std::size_t at = 0; (at = log.find(text, at)) != std::string::npos; ++at) ++count;
    return count;
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "run/metrics.jsonl";
  MetricsLog metrics_{file_};
};

TEST_F(MetricsLogTest, AppendsLines) {
  fs::create_directory(folder_ / "run");
  metrics_.append({{"step", 1}, {"loss", 0.25}});
  metrics_.append({{"step", 2}, {"loss", 0.125}});
  EXPECT_EQ(read_file(file_), "{\"step\":1,\"loss\":0.25}\n{\"step\":2,\"loss\":0.125}\n");
}

TEST_F(MetricsLogTest, LinesThatCannotBeWrittenComeLater) {
  for (int step = 1; step <= 1500; ++step) metrics_.append({{"step", step}});
  EXPECT_EQ(count_in_log("metrics.jsonl: cannot be written: No such file or directory"), 2U);
  fs::create_directory(folder_ / "run");
  metrics_.append({{"step", 1501}});
  EXPECT_EQ(count_in_log("metrics.jsonl: is written again"), 1U);
  std::string expected;
  for (int step = 1; step <= 1501; ++step) expected += fmt::format("{{\"step\":{}}}\n", step);
  EXPECT_EQ(read_file(file_), expected);
}

TEST_F(MetricsLogTest, AFolderThatVanishesAndReturnsGetsItsLines) {
  fs::create_directory(folder_ / "run");
  metrics_.append({{"step", 1}});
  fs::rename(folder_ / "run", folder_ / "gone");
  metrics_.append({{"step", 2}});
  fs::rename(folder_ / "gone", folder_ / "run");
  metrics_.append({{"step", 3}});
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST_F(MetricsLogTest, ForgetsLaterLinesAndHalfOnes) {
  fs::create_directory(folder_ / "run");
  metrics_.append({{"step", 2}, {"loss", 0.5}});
  metrics_.append({{"step", 2}, {"event", "stage"}});
  metrics_.append({{"step", 3}, {"loss", 0.5}});
  std::ofstream(file_, std::ios::app) << "{\"step\":1,\"lo";
  metrics_.forget_after(2);
  metrics_.append({{"step", 3}, {"loss", 1}});
  EXPECT_EQ(
      read_file(file_),
      "{\"step\":2,\"loss\":0.5}\n{\"step\":2,\"event\":\"stage\"}\n{\"step\":3,\"loss\":1}\n");
}

TEST_F(MetricsLogTest, WhatCannotBeReadIsNotForgotten) {
  fs::create_directories(file_);
  EXPECT_EQ(error_text([&] { metrics_.forget_after(1); }),
            file_.string() + ": cannot read: it is a folder");
}

}  // namespace
}  // namespace crescendo::pipelines
