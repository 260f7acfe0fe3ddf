#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

class SignalsTest : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& name,
                                     const std::vector<std::string>& overrides) const {
    const fs::path config = folder_ / (name + ".toml");
    write_train_config(config, folder_ / name, "none");
    return with_overrides(
        with_overrides({"train", config.string()}, {"checkpoint.every=1000", "sample.every=0"}),
        overrides);
  }

  /// The newest checkpoint's state.
  nlohmann::json state(std::int64_t step) const {
    return nlohmann::json::parse(content_of(checkpoint_of(run_, step) / "state.json"));
  }

  /// The shards of the workshop as a command that, after them, says nothing more and does not end.
  static std::string silent_shard() {
    return fmt::format("data.shards=[\"pipe:cat {}/000000.tar; sleep 600\"]",
                       fs::path(workshop().shards).parent_path().string());
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
};

TEST_F(SignalsTest, SigtermFinishesTheStepSavesAndTheSameCommandGoesOn) {
  const std::vector<std::string> steps = {"train.max_train_steps=300"};
  ASSERT_EQ(crescendo(arguments("whole", steps)).exit_code, 0);
  Program program(arguments("run", steps));
  wait_for_lines(program, run_, 10);
  program.send(SIGTERM);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_EQ(stopped.out, "");
  const std::int64_t step = metrics_of(run_).back()["step"];
  EXPECT_NE(
      stopped.err.find(fmt::format("stopped by SIGTERM at step {} of 300; that step is saved; "
                                   "the same command goes on from there",
                                   step)),
      std::string::npos)
      << stopped.err;
  EXPECT_EQ(state(step)["step"], step);
  const Outcome resumed = crescendo(arguments("run", steps));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  expect_same_runs(run_, folder_ / "whole", 300);
}

TEST_F(SignalsTest, SigintWhileItWaitsForData) {
  // Nine samples, of which the shuffle buffer holds back none: two steps, then there is one left.
  Program program(arguments("run", {silent_shard(), "data.shuffle_buffer=1", "data.streams=1"}));
  wait_for_lines(program, run_, 2);
  program.send(SIGINT);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGINT at step 2 of 6; that step is saved"),
            std::string::npos)
      << stopped.err;
  EXPECT_EQ(state(2)["position"]["next"], nlohmann::json{8});
}

TEST_F(SignalsTest, SigtermWhileItCachesBeforeTheFirstStep) {
  Program program(arguments(
      "run", {silent_shard(), "train.cache_latents=true", "train.proportion_empty_prompts=0"}));
  wait_until(program, [&] { return fs::exists(run_ / "config.toml"); });
  program.send(SIGTERM);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGTERM at step 0 of 6; nothing to save yet"),
            std::string::npos)
      << stopped.err;
  const Outcome again =
      crescendo(arguments("run", {"train.cache_latents=true", "train.proportion_empty_prompts=0"}));
  EXPECT_EQ(again.exit_code, 0) << again.err;
}

TEST_F(SignalsTest, SigtermWhileItDrawsSamples) {
  Program program(arguments("run", {"sample.every=2", "sample.steps=1000"}));
  wait_for_lines(program, run_, 2);
  program.send(SIGTERM);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGTERM at step 2 of 6; that step is saved"),
            std::string::npos)
      << stopped.err;
  EXPECT_FALSE(fs::exists(run_ / "samples" / "step-00000002.png"));
  const Outcome resumed = crescendo(arguments("run", {"sample.every=2", "sample.steps=2"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(fs::exists(run_ / "samples" / "step-00000002.png"));
}

TEST_F(SignalsTest, TheSecondOneEndsAtOnce) {
  Program program(arguments("run", {"train.max_train_steps=100000"}));
  wait_for_lines(program, run_, 3);
  program.send(SIGSTOP);  // so that both arrive together
  program.send(SIGINT);
  program.send(SIGTERM);
  program.send(SIGCONT);
  const Outcome outcome = program.wait();
  EXPECT_TRUE(outcome.exit_code == 128 + SIGINT || outcome.exit_code == 128 + SIGTERM)
      << outcome.exit_code;
  EXPECT_FALSE(fs::exists(run_ / "checkpoints"));
}

TEST_F(SignalsTest, Sigusr1SavesAndGoesOn) {
  Program program(arguments("run", {"train.max_train_steps=300"}));
  wait_for_lines(program, run_, 3);
  program.send(SIGUSR1);
  wait_until(program, [&] { return fs::exists(run_ / "checkpoints"); });
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run_ / "checkpoints")) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(names.size(), 2U);
  EXPECT_TRUE(fs::exists(checkpoint_of(run_, 300)));
}

}  // namespace
}  // namespace crescendo::e2e
