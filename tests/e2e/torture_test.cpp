#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

/// scripts/torture asks for more.
int wanted_kills() {
  const char* text = std::getenv("CRESCENDO_TORTURE_KILLS");
  return text == nullptr ? 20 : std::stoi(text);
}

/// A checkpoint is being written, or was when the process was killed.
bool is_writing(const fs::path& run) {
  std::error_code error;
  fs::directory_iterator entry(run / "checkpoints", error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_temporary_name(entry->path())) return true;
  }
  return false;
}

class TortureTest : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& name) const {
    const fs::path config = folder_ / (name + ".toml");
    write_train_config(config, folder_ / name, "text");
    return with_overrides(
        {"train", config.string()},
        {fmt::format("train.max_train_steps={}", steps_), "checkpoint.every=5", "sample.every=0",
         "train.lr_scheduler=cosine", "train.gradient_accumulation_steps=2",
         "train.train_batch_size=2", "unet.dropout=0.1", "train.ema_decay=0.99",
         fmt::format("curriculum.pacing.patience={}", steps_ / 20), "curriculum.pacing.ema=0.5",
         "data.shuffle_buffer=7"});
  }

  double uniform(double limit) { return std::uniform_real_distribution<>(0, limit)(random_); }

  /// Waits for the instant of a kill: at any time of the start, in a step, or in a checkpoint.
  void wait_for_instant(Program& program, int kills_left) {
    const std::size_t begin = count_lines(run_ / "metrics.jsonl");
    const auto steps = static_cast<std::size_t>(steps_);
    const auto room = static_cast<double>(steps - std::min(steps, begin));
    const std::size_t end = begin + 1 + static_cast<std::size_t>(uniform(room / kills_left));
    const double kind = uniform(3);
    const Milliseconds limit(kind < 1 ? uniform(start_.count()) : 1e9);
    const Clock::time_point began = Clock::now();
    while (!program.ended() && Clock::now() - began < limit) {
      if (kind >= 2 && is_writing(run_)) {
        std::this_thread::sleep_for(Milliseconds(uniform(20)));
        return;
      }
      if (count_lines(run_ / "metrics.jsonl") >= end + (kind >= 2 ? 10 : 0)) break;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    std::this_thread::sleep_for(Milliseconds(kind < 1 ? 0 : uniform(5)));
  }

  int kills_ = wanted_kills();
  std::int64_t steps_ = std::int64_t{20} * kills_;
  TemporaryFolder folder_;
  fs::path whole_ = folder_ / "whole";
  fs::path run_ = folder_ / "run";
  Milliseconds start_{};  ///< of the program, up to its first step
  unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
};

TEST_F(TortureTest, KilledAnywhereEqualsUninterrupted) {
  const std::vector<std::string> uninterrupted = arguments("whole");  // makes the workshop
  const Clock::time_point began = Clock::now();
  Program program(uninterrupted);
  wait_for_lines(program, whole_, 1);
  start_ = Clock::now() - began;
  ASSERT_EQ(program.wait().exit_code, 0) << program.errors();

  int in_writing = 0;
  int resumed = 0;
  for (int kill = 0; kill < kills_; ++kill) {
    Program victim(arguments("run"));
    wait_for_instant(victim, kills_ - kill);
    victim.kill();
    const Outcome outcome = victim.wait();
    ASSERT_EQ(outcome.signal, SIGKILL) << "seed " << seed_ << ", life " << kill << "\n"
                                       << outcome.err;
    EXPECT_EQ(outcome.err.find("passes over"), std::string::npos) << outcome.err;
    if (is_writing(run_)) ++in_writing;
    if (outcome.err.find("resumes at step ") != std::string::npos) ++resumed;
  }
  const Outcome last = crescendo(arguments("run"));
  ASSERT_EQ(last.exit_code, 0) << "seed " << seed_ << "\n" << last.err;
  expect_same_runs(run_, whole_, steps_);
  ASSERT_FALSE(HasFailure()) << "seed " << seed_;
  EXPECT_GT(in_writing, 0);
  fmt::print(
      "torture: {} kills, {} of them while a checkpoint was being written, {} of a resumed run, "
      "over {} steps (seed {}): weights, averages, optimizer, curriculum, position and the keys of "
      "every step equal the uninterrupted run's, bit for bit\n",
      kills_, in_writing, resumed, steps_, seed_);
}

}  // namespace
}  // namespace crescendo::e2e
