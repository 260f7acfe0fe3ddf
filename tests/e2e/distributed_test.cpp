#include <cmath>
#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// Ranks of one machine, by mpirun.
class DistributedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_mpirun()) GTEST_SKIP() << "no mpirun (openmpi-bin)";
  }

  /// To train a small text model at `passes` passes of `batch_size` images a rank.
  Words arguments(const std::string& name, int batch_size, int passes,
                  const Words& overrides = {}) const {
    const fs::path config = folder_ / (name + ".toml");
    write_train_config(config, folder_ / name, "text");
    return with_overrides(
        with_overrides(
            {"train", config.string()},
            {"sample.every=0", "checkpoint.every=10", "train.max_train_steps=50",
             "data.random_flip=true", "train.ema_decay=0.9", "train.proportion_empty_prompts=0.3",
             "curriculum.pacing.patience=3", fmt::format("train.train_batch_size={}", batch_size),
             fmt::format("train.gradient_accumulation_steps={}", passes)}),
        overrides);
  }

  static Outcome on_ranks(int count, const Words& arguments) {
    return Program::on_ranks(count, arguments).wait();
  }

  /// The steps and events of a run are those of another but for the order of additions.
  void expect_same_steps(const std::string& name, const std::string& expected) const {
    const std::vector<nlohmann::json> found = metrics_of(folder_ / name);
    const std::vector<nlohmann::json> wanted = metrics_of(folder_ / expected);
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      for (const auto& [key, value] : wanted[i].items()) {
        if (value.is_number_float()) {
          const double bound = (key == "loss" ? 1e-5 : 1e-4) * std::abs(value.get<double>());
          EXPECT_NEAR(found[i].at(key).get<double>(), value.get<double>(), bound)
              << key << " at " << wanted[i];
        } else if (key != "losses") {
          EXPECT_EQ(found[i].value(key, nlohmann::json()), value) << key << " at " << wanted[i];
        }
      }
    }
  }

  static std::int64_t count_events(const std::vector<nlohmann::json>& metrics, const char* event) {
    return std::ranges::count_if(
        metrics, [&](const auto& line) { return line.value("event", "") == event; });
  }

  TemporaryFolder folder_;
};

TEST_F(DistributedTest, StepsAreThoseOfOneRank) {
  ASSERT_EQ(crescendo(arguments("one", 4, 2)).exit_code, 0);
  EXPECT_GE(count_events(metrics_of(folder_ / "one"), "stage"), 2) << "no transition was tested";
  const Outcome two = on_ranks(2, arguments("two", 2, 2));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_NE(two.err.find("global batch: 8 images = 2 ranks x 2 x 2 accumulated"), std::string::npos)
      << two.err;
  EXPECT_EQ(two.out, (folder_ / "two/model").string() + "\n");
  expect_same_steps("two", "one");
  const Outcome four = on_ranks(4, arguments("four", 2, 1));
  ASSERT_EQ(four.exit_code, 0) << four.err;
  expect_same_steps("four", "one");
}

TEST_F(DistributedTest, BatchesOfBucketsAreThoseOfOneRank) {
  const Words buckets = with_overrides({}, bucketed(pack_mixed_shapes(folder_.path())));
  const auto with_buckets = [&](const std::string& name, int passes) {
    Words words = arguments(name, 2, passes, {"data.streams=4", "train.max_train_steps=20"});
    words.insert(words.end(), buckets.begin(), buckets.end());
    return words;
  };
  ASSERT_EQ(crescendo(with_buckets("one", 4)).exit_code, 0);
  const Outcome two = on_ranks(2, with_buckets("two", 2));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  const std::vector<nlohmann::json> wanted = metrics_of(folder_ / "one");
  const std::vector<nlohmann::json> found = metrics_of(folder_ / "two");
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].contains("keys_crc32")) continue;
    EXPECT_EQ(found[i]["keys_crc32"], wanted[i]["keys_crc32"]) << wanted[i];
    const double loss = wanted[i]["loss"];
    EXPECT_NEAR(found[i]["loss"].get<double>(), loss, 1e-5 * loss) << wanted[i];
  }
}

TEST_F(DistributedTest, GoesOnWithFewerRanks) {
  ASSERT_EQ(crescendo(arguments("whole", 4, 2)).exit_code, 0);
  const Outcome four = on_ranks(4, arguments("pieces", 2, 1, {"train.max_train_steps=13"}));
  ASSERT_EQ(four.exit_code, 0) << four.err;
  const Outcome other = on_ranks(2, arguments("pieces", 2, 1));
  EXPECT_EQ(other.exit_code, 2) << other.err;
  EXPECT_NE(error_line(other).find("another configuration"), std::string::npos) << other.err;
  const Outcome two = on_ranks(2, arguments("pieces", 4, 1, {"train.max_train_steps=31"}));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  const Outcome one = crescendo(arguments("pieces", 4, 2));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_NE(one.err.find("resumes at step 31"), std::string::npos) << one.err;
  expect_same_steps("pieces", "whole");
}

TEST_F(DistributedTest, SigtermToOneRankStopsAll) {
  const Words all = arguments("run", 2, 1, {"train.max_train_steps=5000", "checkpoint.every=5000"});
  Program program = Program::on_ranks(2, all);
  wait_for_lines(program, folder_ / "run", 10);
  ::kill(program.children().at(1), SIGTERM);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  const std::int64_t step = metrics_of(folder_ / "run").back()["step"];
  EXPECT_NE(stopped.err.find(
                fmt::format("stopped by SIGTERM at step {} of 5000; that step is saved", step)),
            std::string::npos)
      << stopped.err;
  EXPECT_TRUE(fs::exists(checkpoint_of(folder_ / "run", step)));
}

TEST_F(DistributedTest, AStopWhileOneRankWaitsForDataStopsAll) {
  // Rank 1 alone reads the second shard, which does not end.
  const std::string shard = (fs::path(workshop().shards).parent_path() / "000000.tar").string();
  const Words all =
      arguments("run", 2, 2,
                {fmt::format("data.shards=[\"pipe:cat {0}\", \"pipe:cat {0}; sleep 600\"]", shard),
                 "data.streams=2", "data.shuffle_buffer=2", "train.max_train_steps=5000"});
  Program program = Program::on_ranks(2, all);
  wait_for_lines(program, folder_ / "run", 2);
  ::kill(program.children().at(1), SIGTERM);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_NE(stopped.err.find("that step is saved"), std::string::npos) << stopped.err;
}

TEST_F(DistributedTest, AKilledRankEndsAllAndTheRunGoesOn) {
  const Words all = arguments("run", 2, 2, {"checkpoint.every=2", "train.max_train_steps=5000"});
  Program program = Program::on_ranks(2, all);
  wait_for_lines(program, folder_ / "run", 10);
  ::kill(program.children().at(1), SIGKILL);
  const Outcome killed = program.wait();
  EXPECT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
  EXPECT_NE(killed.err.find("rank 1"), std::string::npos) << killed.err;
  const Outcome resumed = on_ranks(2, arguments("run", 2, 2, {"train.max_train_steps=30"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("resumes at step "), std::string::npos) << resumed.err;
}

TEST_F(DistributedTest, AFailingRankSaysWhyAndEndsAll) {
  const std::string shard = (fs::path(workshop().shards).parent_path() / "000000.tar").string();
  const Outcome outcome =
      on_ranks(2, arguments("run", 2, 2,
                            {fmt::format("data.shards=[\"pipe:cat {}\", \"pipe:false\"]", shard),
                             "data.streams=2"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("rank 1: error: data.shards: no usable sample"), std::string::npos)
      << outcome.err;
}

TEST_F(DistributedTest, StreamsAreSharedEvenly) {
  const Outcome outcome = on_ranks(
      2, arguments("run", 2, 2,
                   {"data.shards=[\"pipe:a\", \"pipe:b\", \"pipe:c\"]", "data.streams=3"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_NE(error_line(outcome).find("3 streams of 3 shards cannot be shared evenly by 2 ranks"),
            std::string::npos)
      << outcome.err;
}

TEST_F(DistributedTest, AutoencodersToo) {
  write_vae_config(folder_ / "c.toml", folder_ / "one", workshop().shards);
  const Words more = {"train.max_train_steps=12"};
  ASSERT_EQ(crescendo(with_overrides({"train-vae", (folder_ / "c.toml").string()}, more)).exit_code,
            0);
  write_vae_config(folder_ / "c.toml", folder_ / "two", workshop().shards);
  const Outcome two = on_ranks(2, with_overrides({"train-vae", (folder_ / "c.toml").string(),
                                                  "--set", "train.train_batch_size=2"},
                                                 more));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  expect_same_steps("two", "one");
}

TEST_F(DistributedTest, SharedMomentsChangeNoBit) {
  const Outcome whole = on_ranks(2, arguments("whole", 4, 1, {"train.max_train_steps=20"}));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const Words shared = {"train.zero_stage=1", "train.max_train_steps=10"};
  const Outcome two = on_ranks(2, arguments("shared", 4, 1, shared));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_NE(two.err.find("zero_stage = 1 saves"), std::string::npos) << two.err;
  const auto expect_same = [&](std::int64_t step) {
    const auto found = files_of(checkpoint_of(folder_ / "shared", step));
    for (const auto& [name, bytes] : files_of(checkpoint_of(folder_ / "whole", step))) {
      if (!name.ends_with(".safetensors")) continue;
      EXPECT_TRUE(found.at(name) == bytes) << name;
    }
  };
  expect_same(10);
  // The moments go back to whom they belong, and to a run that does not share them.
  const Outcome more =
      on_ranks(2, arguments("shared", 4, 1, {"train.zero_stage=1", "train.max_train_steps=15"}));
  ASSERT_EQ(more.exit_code, 0) << more.err;
  const Outcome last = on_ranks(2, arguments("shared", 4, 1, {"train.max_train_steps=20"}));
  ASSERT_EQ(last.exit_code, 0) << last.err;
  expect_same(20);
}

TEST_F(DistributedTest, TooManyNonfiniteStepsEndAllWithADump) {
  const Outcome outcome = on_ranks(
      2, arguments("run", 4, 1, {"train.learning_rate=1e30", "train.max_nonfinite_steps=2"}));
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_NE(error_line(outcome).find("expected finite ones, found 3 steps in a row without"),
            std::string::npos)
      << outcome.err;
  const fs::path dumps = folder_ / "run/nonfinite";
  ASSERT_TRUE(fs::exists(dumps)) << outcome.err;
  const fs::path report = fs::directory_iterator(dumps)->path() / "nonfinite.json";
  EXPECT_EQ(nlohmann::json::parse(content_of(report))["losses"].size(), 8U) << "those of all ranks";
}

TEST_F(DistributedTest, CachesWhatOneRankDoes) {
  const fs::path one = folder_ / "cache-one";
  const fs::path two = folder_ / "cache-two";
  Words words = arguments("run", 4, 1, {"data.random_flip=false"});
  words[0] = "cache";
  words.insert(words.end(), {"--out", one.string()});
  ASSERT_EQ(crescendo(words).exit_code, 0);
  words.back() = two.string();
  const Outcome outcome = on_ranks(2, words);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("cached 24 samples in 2 shards")) << outcome.out;
  const Outcome trained =
      crescendo(arguments("one", 4, 1,
                          {"data.random_flip=false", "train.max_train_steps=6",
                           "data.shards=[\"" + (one / "*.tar").string() + "\"]"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Outcome again =
      on_ranks(2, arguments("two", 2, 1,
                            {"data.random_flip=false", "train.max_train_steps=6",
                             "data.shards=[\"" + (two / "*.tar").string() + "\"]"}));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  expect_same_steps("two", "one");
}

TEST_F(DistributedTest, DifferentConfigurationsAreRefused) {
  const Outcome outcome =
      Program::on_ranks(1, arguments("run", 2, 2), {arguments("run", 2, 2, {"run.seed=1"})}).wait();
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_EQ(error_line(outcome),
            "rank 1: has another configuration than rank 0: expected 'seed = 0', found 'seed = 1'; "
            "start all ranks alike");
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

}  // namespace
}  // namespace crescendo::e2e
