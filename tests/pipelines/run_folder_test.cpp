#include "pipelines/run_folder.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/log.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class RunFolderTest : public testing::Test {
 protected:
  // Each run folder's log file is a sink of the default logger.
  void TearDown() override { log::start(false); }

  RunFolder open(bool resume, const fs::path& from = {}, std::int64_t keep = 2) const {
    return {{.output_dir = path_.string()}, {.keep = keep}, "# config\n", {resume, from}};
  }

  static void save(RunFolder& run, std::int64_t step) {
    run.log_metrics({{"step", step}, {"loss", 0.5}});
    run.save_checkpoint(step, {{"mark", step * 10}}, [&](const fs::path& folder) {
      write_file_atomically(folder / "weights", std::to_string(step));
    });
  }

  /// Resumes and returns the step; what was loaded is in `weights_`.
  std::int64_t resume(RunFolder& run) {
    return run.resume([&](const fs::path& folder, const Json& state) {
      weights_ = read_file(folder / "weights");
      if (weights_ == "damaged") throw DataError("{}: damaged", folder.string());
      EXPECT_EQ(state["mark"], state["step"].get<int>() * 10);
    });
  }

  fs::path checkpoint(std::int64_t step) const {
    return path_ / "checkpoints" / fmt::format("step-{:08}", step);
  }

  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> found;
    for (const CheckpointFolder& one : list_checkpoints(path_)) found.push_back(one.step);
    return found;
  }

  std::string log_text() const {
    spdlog::default_logger()->flush();
    return read_file(path_ / "log.txt");
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "run";
  std::string weights_;
};

TEST_F(RunFolderTest, WritesConfigAndMetrics) {
  RunFolder run = open(false);
  run.log_metrics({{"step", 1}, {"loss", 0.25}});
  run.log_metrics({{"step", 2}, {"loss", 0.125}});
  EXPECT_EQ(read_file(path_ / "config.toml"), "# config\n");
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"),
            "{\"step\":1,\"loss\":0.25}\n{\"step\":2,\"loss\":0.125}\n");
}

TEST_F(RunFolderTest, RefusesNoFolderAndAUsedOne) {
  EXPECT_TRUE(
      error_text([] { RunFolder({}, {}, "", {}); }).starts_with("run.output_dir: expected "));
  const std::string used =
      path_.string() +
      ": already holds a run; go on with --resume, or choose another run.output_dir";
  {
    RunFolder run = open(false);
    save(run, 1);
  }
  EXPECT_EQ(error_text([&] { open(false); }), used);
  fs::remove_all(path_ / "checkpoints");
  fs::create_directories(path_ / "model");
  EXPECT_EQ(error_text([&] { open(false); }), used);
  EXPECT_EQ(error_text([&] { open(true); }), "");
}

TEST_F(RunFolderTest, BeginsAnewWhereNoCheckpointWasWritten) {
  open(false).log_metrics({{"step", 1}});
  RunFolder run = open(false);
  EXPECT_EQ(resume(run), 0);
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "");
}

TEST_F(RunFolderTest, ResumesTheNewest) {
  RunFolder run = open(false);
  for (const std::int64_t step : {9, 10, 100}) save(run, step);
  RunFolder again = open(true);
  EXPECT_EQ(resume(again), 100);
  EXPECT_EQ(weights_, "100");
}

TEST_F(RunFolderTest, ResumeWithoutCheckpointsKeepsLogging) {
  open(false).log_metrics({{"step", 1}});
  RunFolder run = open(true);
  EXPECT_EQ(resume(run), 0);
  run.log_metrics({{"step", 1}, {"loss", 2}});
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "{\"step\":1,\"loss\":2}\n");
}

TEST_F(RunFolderTest, PassesOverADamagedOneWithAWarning) {
  RunFolder run = open(false, {}, 0);
  for (const std::int64_t step : {1, 2, 3, 4}) save(run, step);
  write_file_atomically(checkpoint(4) / "weights", "damaged");
  fs::remove(checkpoint(3) / "state.json");
  RunFolder again = open(true);
  EXPECT_EQ(resume(again), 2);
  EXPECT_NE(log_text().find("passes over a damaged checkpoint: " + checkpoint(4).string()),
            std::string::npos);
  EXPECT_NE(log_text().find(checkpoint(3).string() + "/state.json: the file is missing"),
            std::string::npos);
  // What was passed over is neither found again nor the reason to delete a good one.
  save(again, 3);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{3, 2}));
  EXPECT_TRUE(fs::exists(checkpoint(4).string() + ".abandoned"));
}

TEST_F(RunFolderTest, ANamedDamagedOneIsAnError) {
  RunFolder run = open(false);
  save(run, 1);
  save(run, 2);
  write_file_atomically(checkpoint(2) / "state.json", "[]");
  RunFolder again = open(true, checkpoint(2));
  EXPECT_EQ(data_error_text([&] { resume(again); }),
            checkpoint(2).string() +
                "/state.json: expected the state of a checkpoint, with its \"step\"");
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{2, 1}));
}

TEST_F(RunFolderTest, NoneThatLoadsIsAnError) {
  RunFolder run = open(false);
  save(run, 1);
  write_file_atomically(checkpoint(1) / "state.json", "{");
  RunFolder again = open(true);
  EXPECT_EQ(error_text([&] { resume(again); }),
            (path_ / "checkpoints").string() +
                ": none of its 1 checkpoints can be loaded; begin anew in another folder");
}

TEST_F(RunFolderTest, OtherErrorsOfLoadingAreNotPassedOver) {
  RunFolder run = open(false);
  save(run, 1);
  save(run, 2);
  RunFolder again = open(true);
  EXPECT_EQ(error_text([&] { again.resume([](auto&&...) { throw UserError("another seed"); }); }),
            "another seed");
}

TEST_F(RunFolderTest, RefusesAnotherSeed) {
  RunFolder run = open(false);
  save(run, 1);
  RunFolder again({.output_dir = path_.string(), .seed = 7}, {}, "", {true, {}});
  EXPECT_EQ(error_text([&] { resume(again); }),
            "run.seed: expected 0, as in the run to resume, found 7");
}

TEST_F(RunFolderTest, DeletesWhatAKilledWriteLeft) {
  RunFolder run = open(false);
  save(run, 1);
  const fs::path half = path_ / "checkpoints" / "step-00000002.123.crescendo-tmp";
  const fs::path file = path_ / "config.toml.123.crescendo-tmp";
  write_file_atomically(half / "weights", "half");
  write_file_atomically(file, "half");
  open(true);
  EXPECT_FALSE(fs::exists(half));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(steps(), std::vector<std::int64_t>{1});
}

TEST_F(RunFolderTest, ANamedEarlierOneAbandonsWhatCameAfter) {
  RunFolder run = open(false, {}, 0);
  for (const std::int64_t step : {1, 2, 3}) save(run, step);
  RunFolder again = open(true, checkpoint(1), 1);
  EXPECT_EQ(resume(again), 1);
  EXPECT_EQ(steps(), std::vector<std::int64_t>{1});
  EXPECT_TRUE(fs::exists(checkpoint(3).string() + ".abandoned/weights"));
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "{\"step\":1,\"loss\":0.5}\n");
  save(again, 2);
  EXPECT_EQ(steps(), std::vector<std::int64_t>{2});
}

TEST_F(RunFolderTest, KeepsTheNewest) {
  RunFolder run = open(false, {}, 2);
  for (const std::int64_t step : {5, 10, 15, 20}) save(run, step);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{20, 15}));
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "checkpoints"), {}), 2);
}

TEST_F(RunFolderTest, KeepZeroKeepsAll) {
  RunFolder run = open(false, {}, 0);
  for (const std::int64_t step : {5, 10, 15, 20}) save(run, step);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{20, 15, 10, 5}));
}

TEST_F(RunFolderTest, ListsWholeCheckpointsOnly) {
  RunFolder run = open(false);
  save(run, 7);
  for (const char* name :
       {"step-00000009.77.crescendo-tmp", "step-", "step-1x", "other-00000001"}) {
    fs::create_directory(path_ / "checkpoints" / name);
  }
  write_file_atomically(path_ / "checkpoints" / "step-00000008", "a file");
  EXPECT_EQ(steps(), std::vector<std::int64_t>{7});
}

TEST_F(RunFolderTest, ForgetsLaterMetricsAndHalfLines) {
  {
    RunFolder run = open(false);
    save(run, 2);
    run.log_metrics({{"step", 2}, {"event", "stage"}});
    run.log_metrics({{"step", 3}, {"loss", 0.5}});
  }
  std::ofstream(path_ / "metrics.jsonl", std::ios::app) << "{\"step\":1,\"lo";
  RunFolder again = open(true);
  EXPECT_EQ(resume(again), 2);
  again.log_metrics({{"step", 3}, {"loss", 1}});
  EXPECT_EQ(
      read_file(path_ / "metrics.jsonl"),
      "{\"step\":2,\"loss\":0.5}\n{\"step\":2,\"event\":\"stage\"}\n{\"step\":3,\"loss\":1}\n");
}

TEST_F(RunFolderTest, AFailedCheckpointLeavesTheOldOne) {
  RunFolder run = open(false);
  save(run, 4);
  EXPECT_EQ(
      error_text([&] { run.save_checkpoint(4, {}, [](auto&&) { throw UserError("disk full"); }); }),
      "disk full");
  EXPECT_EQ(read_file(checkpoint(4) / "weights"), "4");
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "checkpoints"), {}), 1);
}

}  // namespace
}  // namespace crescendo::pipelines
