#include "pipelines/training/training_loop.h"

#include <cmath>
#include <csignal>
#include <functional>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/training/counting_task.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;
using Steps = std::vector<std::int64_t>;

/// Asks for something in a pass, counted from 0, or while it draws.
class AskingTask final : public CountingTask {
 public:
  using CountingTask::CountingTask;
  std::int64_t stop_in = -1;
  std::int64_t wait_in = -1;  ///< the stop comes while the pass waits for its data
  std::int64_t save_in = -1;
  bool stop_in_samples = false;
  Steps drawn;

  ForwardPass forward() override {
    if (stop_in == passes_) request_stop(SIGTERM);
    if (save_in == passes_) request_checkpoint();
    if (wait_in == passes_) {
      request_stop(SIGINT);
      throw_if_stopped();
    }
    ++passes_;
    return CountingTask::forward();
  }

  fs::path draw_samples(std::int64_t step, const fs::path& /*folder*/) override {
    if (stop_in_samples) {
      request_stop(SIGTERM);
      throw_if_stopped();
    }
    drawn.push_back(step);
    if (failing) throw UserError("no room for a picture");
    return {};
  }
  bool failing = false;

  std::optional<nlohmann::ordered_json> validate(std::int64_t step) override {
    if (stop_in_validation == step) {
      request_stop(SIGTERM);
      throw_if_stopped();
    }
    in_validation(step);
    return nlohmann::ordered_json{
        {"step", step}, {"event", "held_out"}, {"loss", held_out.at(step)}, {"set", set}};
  }
  std::int64_t stop_in_validation = -1;
  std::function<void(std::int64_t)> in_validation = [](std::int64_t /*step*/) {};
  std::map<std::int64_t, double> held_out{{0, 0.1}, {2, 8}, {4, 3}, {6, 5}, {8, 4}, {10, 6}};
  std::string set = "a1";

 private:
  std::int64_t passes_ = 0;
};

class TrainingLoopTest : public testing::Test {
 protected:
  void TearDown() override {
    clear_requests();
    log::start(false);
  }

  bool train(AskingTask& task) {
    clear_requests();
    RunFolder run({.output_dir = path_.string()}, {.keep = keep_},
                  {.command = "train", .toml = "", .values = {}, .defaults = {}}, {});
    RunMonitor monitor(path_, {.steps = options_.max_train_steps}, false);
    const bool whole = run_training(task, &run, &monitor,
                                    {.label = "train",
                                     .train = options_,
                                     .checkpoint_every = 4,
                                     .validate_every = validate_every_,
                                     .keep_best = validate_every_ > 0,
                                     .sample_every = 3});
    run.require_saved();
    return whole;
  }

  Steps steps() const {
    Steps found;
    for (const CheckpointFolder& one : list_checkpoints(path_)) found.push_back(one.step);
    return found;
  }

  /// The weight after an uninterrupted run.
  at::Tensor expected() {
    path_ = folder_ / "whole";
    AskingTask task(options_);
    EXPECT_TRUE(train(task));
    path_ = folder_ / "run";
    return task.weight();
  }

  std::string metrics(const std::string& name) const {
    std::istringstream lines(read_file(folder_ / name / "metrics.jsonl"));
    std::string text;
    for (std::string line; std::getline(lines, line);) {
      auto entry = nlohmann::json::parse(line);
      for (const char* key : {"seconds", "data_seconds", "memory"}) entry.erase(key);
      text += entry.dump() + "\n";
    }
    return text;
  }

  void expect_resumes_to(const at::Tensor& weight) {
    AskingTask task(options_);
    EXPECT_TRUE(train(task));
    EXPECT_TRUE(task.weight().equal(weight));
    EXPECT_EQ(metrics("run"), metrics("whole"));
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "run";
  std::int64_t keep_ = 0;
  std::int64_t validate_every_ = 0;
  OptimizationOptions options_{
      .gradient_accumulation_steps = 2, .max_train_steps = 10, .learning_rate = 0.1};
};

TEST_F(TrainingLoopTest, SavesAsOftenAsToldAndAtTheEnd) {
  AskingTask task(options_);
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps(), (Steps{10, 8, 4}));
  EXPECT_EQ(task.drawn, (Steps{3, 6, 9}));
}

TEST_F(TrainingLoopTest, KeepsTheCheckpointOfTheLowestHeldOutLoss) {
  validate_every_ = 2;
  keep_ = 1;
  AskingTask task(options_);
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps(), (Steps{10, 4}));  // that before the first step is of no checkpoint
  EXPECT_EQ(BestStep::from(read_checkpoint_state(checkpoint_path(path_, 10))).step, 4);
}

TEST_F(TrainingLoopTest, ABestCheckpointThatCannotBeWrittenLeavesTheFormerOne) {
  validate_every_ = 2;
  keep_ = 1;
  AskingTask task(options_);
  task.held_out[6] = task.held_out[8] = task.held_out[10] = 9;
  const fs::path checkpoints = path_ / "checkpoints";
  const fs::path aside = folder_ / "aside";
  task.in_validation = [&](std::int64_t step) {
    if (step == 4) {  // the best so far, for whose checkpoint there is no folder
      fs::rename(checkpoints, aside);
      write_file_atomically(checkpoints, "in the way");
    } else if (step == 6) {
      fs::remove(checkpoints);
      fs::rename(aside, checkpoints);
    }
  };
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps(), (Steps{10, 2}));
}

TEST_F(TrainingLoopTest, AHeldOutLossThatIsNotFiniteIsNeverTheBest) {
  validate_every_ = 2;
  keep_ = 1;
  AskingTask task(options_);
  task.held_out[2] = std::nan("");
  task.held_out[4] = -std::numeric_limits<double>::infinity();
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps(), (Steps{10, 8}));
}

TEST_F(TrainingLoopTest, AHeldOutLossOfAnotherSetBeginsAnew) {
  validate_every_ = 2;
  keep_ = 1;
  AskingTask first(options_);
  first.stop_in = 13;  // the second pass of the seventh step
  EXPECT_FALSE(train(first));
  AskingTask second(options_);
  second.set = "b2";
  EXPECT_TRUE(train(second));
  EXPECT_EQ(steps(), (Steps{10, 8}));
}

TEST_F(TrainingLoopTest, AStopWhileItValidatesIsMadeUpFor) {
  validate_every_ = 2;
  const at::Tensor weight = expected();
  for (const std::int64_t step : {0, 4, 6, 10}) {
    AskingTask task(options_);
    task.stop_in_validation = step;
    EXPECT_FALSE(train(task)) << step;
  }
  AskingTask last(options_);
  last.held_out[10] = 0.5;
  EXPECT_TRUE(train(last));
  EXPECT_TRUE(last.weight().equal(weight));
  EXPECT_EQ(BestStep::from(read_checkpoint_state(checkpoint_path(path_, 10))).step, 10);
}

TEST_F(TrainingLoopTest, AStopWhileItValidatesForgetsNoSamples) {
  validate_every_ = 2;
  const at::Tensor weight = expected();
  AskingTask first(options_);
  first.stop_in_validation = 6;  // where samples are due as well
  EXPECT_FALSE(train(first));
  AskingTask second(options_);
  EXPECT_TRUE(train(second));
  EXPECT_EQ(second.drawn, (Steps{6, 9}));
  EXPECT_EQ(metrics("run"), metrics("whole"));
  EXPECT_TRUE(second.weight().equal(weight));
}

TEST_F(TrainingLoopTest, AStopFinishesTheStepAndSaves) {
  const at::Tensor weight = expected();
  AskingTask task(options_);
  task.stop_in = 10;  // the first pass of the sixth step
  EXPECT_FALSE(train(task));
  EXPECT_EQ(steps(), (Steps{6, 4}));
  expect_resumes_to(weight);
}

TEST_F(TrainingLoopTest, AStopWhileTheStepWaitsGivesTheStepUp) {
  const at::Tensor weight = expected();
  AskingTask task(options_);
  task.wait_in = 11;  // the second pass of the sixth step
  EXPECT_FALSE(train(task));
  EXPECT_EQ(steps(), (Steps{5, 4}));
  expect_resumes_to(weight);
}

TEST_F(TrainingLoopTest, AStopBeforeTheFirstStepSavesNothing) {
  const at::Tensor weight = expected();
  AskingTask task(options_);
  task.wait_in = 0;
  EXPECT_FALSE(train(task));
  EXPECT_EQ(steps(), Steps{});
  expect_resumes_to(weight);
}

TEST_F(TrainingLoopTest, AStopInTheLastStepEndsTheRun) {
  AskingTask task(options_);
  task.stop_in = 19;
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps().front(), 10);
}

TEST_F(TrainingLoopTest, SamplesThatAStopBrokeOffAreDrawnByTheResumedRun) {
  const at::Tensor weight = expected();
  AskingTask task(options_);
  task.stop_in_samples = true;
  EXPECT_FALSE(train(task));
  EXPECT_EQ(steps(), Steps{3});
  AskingTask resumed(options_);
  EXPECT_TRUE(train(resumed));
  EXPECT_EQ(resumed.drawn, (Steps{3, 6, 9}));
  EXPECT_TRUE(resumed.weight().equal(weight));
}

TEST_F(TrainingLoopTest, SavesWhenAskedAndGoesOn) {
  AskingTask task(options_);
  task.save_in = 4;
  EXPECT_TRUE(train(task));
  EXPECT_EQ(steps(), (Steps{10, 8, 4, 3}));
}

TEST_F(TrainingLoopTest, SamplesThatCannotBeDrawnAreNoReasonToStop) {
  AskingTask task(options_);
  task.failing = true;
  EXPECT_TRUE(train(task));
  EXPECT_EQ(task.drawn, (Steps{3, 6, 9}));
  EXPECT_NE(read_file(path_ / "log.txt").find("step 3: no samples: no room for a picture"),
            std::string::npos);
}

TEST_F(TrainingLoopTest, TellsTheKeysOfAllPassesOfAStep) {
  AskingTask task(options_);
  train(task);
  const std::string all = metrics("run");
  const auto first = nlohmann::json::parse(all.substr(0, all.find('\n')));
  EXPECT_EQ(first["first_key"], "0");
  // python3 -c "import zlib; print('%08x' % zlib.crc32(b'0\0' b'0b\0' b'1\0' b'1b\0'))"
  EXPECT_EQ(first["keys_crc32"], "fcbef34b");
}

}  // namespace
}  // namespace crescendo::pipelines
