#include <cerrno>
#include <optional>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/training/counting_task.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

// ctest loads tests/e2e/failing_calls.cpp before everything else.
template <typename Function>
Function* shim(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

constexpr std::int64_t kSteps = 6;

OptimizationOptions optimization_of(std::int64_t steps) {
  return {.max_train_steps = steps, .learning_rate = 0.1};
}

/// What `crescendo train` does, with the smallest task. Returns the trained weight.
at::Tensor train(const fs::path& folder, std::int64_t steps) {
  RunFolder run({.output_dir = folder.string()}, {.every = 2, .keep = 1},
                {.command = "train", .toml = "# config\n", .values = {}, .defaults = {}}, {});
  CountingTask task(optimization_of(steps));
  if (run.finished(steps)) return {};
  RunMonitor monitor(folder, {.steps = steps}, true);
  EXPECT_TRUE(
      run_training(task, &run, &monitor,
                   {.label = "train", .train = optimization_of(steps), .checkpoint_every = 2}));
  write_folder_atomically(folder / "model", [&](const fs::path& temporary) {
    save_tensors(temporary / "weights.safetensors", {{"weight", task.weight()}});
  });
  run.finish(steps);
  return task.weight().detach().clone();
}

/// Why it failed, or nothing.
std::optional<std::string> failure_of_training(const fs::path& folder) {
  try {
    train(folder, kSteps);
    return std::nullopt;
  } catch (const UserError& failure) {
    return failure.what();
  }
}

class FailingCallsTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (shim<void()>("failing_calls_arm") == nullptr) {
      FAIL() << "not preloaded; run this by `ctest -R failing_calls`";
    }
    Progress::silence();
    log::start(true);
    spdlog::set_level(spdlog::level::off);
  }
  void TearDown() override { log::start(false); }

  static void arm(const fs::path& folder, long nth) {
    shim<void(const char*, long, int)>("failing_calls_arm")(folder.c_str(), nth, GetParam());
  }
  static long disarm() {
    const long seen = shim<long()>("failing_calls_seen")();
    shim<void(const char*, long, int)>("failing_calls_arm")("", 0, 0);
    return seen;
  }

  TemporaryFolder folder_;
};

// A run that was ended after step 2 goes on to step 6 while its Nth call fails, for every N.
TEST_P(FailingCallsTest, WholeCheckpointsOnlyAndTheSameWeightsInTheEnd) {
  const at::Tensor expected = train(folder_ / "whole", kSteps);
  train(folder_ / "begun", 2);
  fs::remove_all(folder_ / "begun" / "model");
  const fs::path run = folder_ / "run";
  long failures = 0;
  long nth = 1;
  for (;; ++nth) {
    fs::remove_all(run);
    fs::copy(folder_ / "begun", run, fs::copy_options::recursive);
    arm(run, nth);
    const std::optional<std::string> failure = failure_of_training(run);
    const long seen = disarm();
    if (seen < nth) {
      EXPECT_FALSE(failure) << *failure;
      break;
    }
    if (failure) {
      ++failures;
      EXPECT_NE(failure->find(folder_.path().string()), std::string::npos) << *failure;
    }
    const std::vector<CheckpointFolder> checkpoints = list_checkpoints(run);
    ASSERT_FALSE(checkpoints.empty()) << "call " << nth;
    for (const CheckpointFolder& one : checkpoints) {
      EXPECT_NO_THROW(verify_checkpoint(one.path)) << "call " << nth;
    }
    if (const at::Tensor weight = train(run, kSteps); weight.defined()) {
      EXPECT_TRUE(weight.equal(expected)) << "call " << nth;
    }
    EXPECT_TRUE(load_tensors(run / "model" / "weights.safetensors").at("weight").equal(expected));
  }
  EXPECT_GT(failures, 0);
  fmt::print("failing calls: {} calls, each failed once; {} of them ended the run\n", nth - 1,
             failures);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FailingCallsTest, testing::Values(ENOSPC, EIO, 0),
                         [](const auto& kind) -> std::string {
                           if (kind.param == ENOSPC) return "DiskFull";
                           return kind.param == EIO ? "IoError" : "ShortWrite";
                         });

}  // namespace
}  // namespace crescendo::pipelines
