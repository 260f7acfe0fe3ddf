#include <csignal>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

constexpr int kSteps = 200;

/// Runs until metrics.jsonl has `lines` lines, then kills.
void run_and_kill(const std::vector<std::string>& arguments, const fs::path& run,
                  std::size_t lines) {
  Program program(arguments);
  wait_for_lines(program, run, lines);
  program.kill();
  const Outcome outcome = program.wait();
  ASSERT_EQ(outcome.signal, SIGKILL) << "it ended before it could be killed\n" << outcome.err;
}

/// A way to train that a resumed run must go on in.
struct Way {
  std::string name;
  std::vector<std::string> overrides;
  std::vector<std::string> resumed_overrides{};  ///< of the pieces after the first
  std::vector<std::size_t> kills{53, 128};       ///< once metrics.jsonl has so many lines
  bool indexed = false;
  bool streamed = false;
  bool bucketed = false;
};

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

/// The workshop's shards, in a way that leaves the loader no choice of how to read them.
std::string shards_of(const Way& way, const fs::path& folder) {
  if (way.bucketed) return "\"" + pack_mixed_shapes(folder) + "\"";
  if (!way.streamed && !way.indexed) return "\"" + workshop().shards + "\"";
  const fs::path source = fs::path(workshop().shards).parent_path();
  if (way.streamed) return fmt::format("\"pipe:cat {}/00000{{0..2}}.tar\"", source.string());
  fs::create_directories(folder / "indexed");
  for (const auto& entry : fs::directory_iterator(source)) {
    fs::copy(entry.path(), folder / "indexed", fs::copy_options::skip_existing);
  }
  const std::string glob = (folder / "indexed/*.tar").string();
  const Outcome outcome = crescendo({"index", glob});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return "\"" + glob + "\"";
}

class ResumeTest : public testing::TestWithParam<Way> {
 protected:
  std::vector<std::string> arguments(const std::string& name) const {
    const fs::path config = folder_ / (name + ".toml");
    write_train_config(config, folder_ / name, "text");
    const std::vector<std::string> all = with_overrides(
        {"train", config.string()},
        {fmt::format("data.shards=[{}]", shards_of(GetParam(), folder_.path())),
         fmt::format("train.max_train_steps={}", kSteps), "checkpoint.every=20", "sample.every=0",
         "train.lr_scheduler=cosine", "train.lr_warmup_steps=10", "train.ema_decay=0.99",
         "train.proportion_empty_prompts=0.3", "train.train_batch_size=3", "unet.dropout=0.1",
         "curriculum.pacing.patience=15", "curriculum.pacing.ema=0.5", "data.shuffle_buffer=7"});
    return with_overrides(all, GetParam().overrides);
  }

  TemporaryFolder folder_;
};

TEST_P(ResumeTest, KilledEqualsUninterrupted) {
  const fs::path whole = folder_ / "whole";
  const fs::path pieces = folder_ / "pieces";
  const Outcome uninterrupted = crescendo(arguments("whole"));
  ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.err;

  std::vector<std::string> piece = arguments("pieces");
  for (const std::size_t lines : GetParam().kills) {
    run_and_kill(piece, pieces, lines);
    piece = with_overrides(arguments("pieces"), GetParam().resumed_overrides);
  }
  const Outcome resumed = crescendo(arguments("pieces"));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("resumes at step "), std::string::npos) << resumed.err;

  expect_same_runs(pieces, whole, kSteps);
  EXPECT_EQ(files_of(checkpoint_of(whole, kSteps)).size(), 5U);
  std::map<std::string, int> events;
  for (const nlohmann::json& entry : metrics_of(whole)) ++events[entry.value("event", "")];
  EXPECT_EQ(events[""], kSteps);
  EXPECT_GE(events["stage"], 2) << "the curriculum was not tested";
  EXPECT_EQ(events["clusters"], kSteps / 50);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, ResumeTest,
    testing::Values(
        Way{.name = "Streamed",
            .overrides = {"train.gradient_accumulation_steps=2", "data.random_flip=true",
                          "data.center_crop=false"},
            .streamed = true},
        Way{.name = "Indexed",
            .overrides = {"train.gradient_accumulation_steps=2", "data.random_flip=true",
                          "data.center_crop=false"},
            .indexed = true},
        Way{.name = "Bucketed",
            .overrides = {"train.gradient_accumulation_steps=2", "data.random_flip=true",
                          "data.center_crop=false", "data.enable_bucket=true",
                          "data.bucket_reso_steps=4", "curriculum.pacing.patience=8"},
            .bucketed = true},
        Way{.name = "Cached",
            .overrides = {"train.gradient_accumulation_steps=2", "train.cache_latents=true"},
            .kills = {87}},
        Way{.name = "Edm",
            .overrides = {"diffusion.formulation=edm", "curriculum.clustering=quantile",
                          "sample.sampler=heun"},
            .kills = {87}},
        Way{.name = "RoutedFlow",
            .overrides = {"diffusion.formulation=flow_matching", "sample.sampler=euler",
                          "unet.dtr_alpha=4"},
            .kills = {87}},
        // What does not change a step may change.
        Way{.name = "OneWorkerThenFour",
            .overrides = {"train.gradient_accumulation_steps=3", "data.workers=1",
                          "data.prefetch=1", "curriculum.pacing.patience=6"},
            .resumed_overrides = {"data.workers=4", "data.prefetch=5", "checkpoint.every=7"}},
        Way{.name = "FourWorkersThenOne",
            .overrides = {"data.workers=4", "curriculum.pacing.patience=6"},
            .resumed_overrides = {"data.workers=1"},
            .kills = {70}}),
    [](const auto& way) { return way.param.name; });

TEST(ResumedRunTest, KilledBeforeTheFirstCheckpointBeginsAnew) {
  const TemporaryFolder folder;
  const fs::path run = folder / "run";
  write_train_config(folder / "c.toml", run, "none");
  const std::vector<std::string> arguments = with_overrides(
      {"train", (folder / "c.toml").string()}, {"checkpoint.every=1000", "sample.every=0"});
  run_and_kill(with_overrides(arguments, {"train.max_train_steps=1000"}), run, 10);
  const Outcome resumed = crescendo(with_overrides(arguments, {"train.max_train_steps=12"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("no checkpoint yet; begins at step 0"), std::string::npos);
  std::vector<std::int64_t> steps;
  for (const nlohmann::json& entry : metrics_of(run)) {
    if (entry.contains("loss")) steps.push_back(entry["step"]);
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

TEST(ResumedRunTest, TwiceNStepsEqualNAndThenN) {
  const TemporaryFolder folder;
  const auto train = [&](const char* name, int steps) {
    const fs::path config = folder / (std::string(name) + ".toml");
    write_train_config(config, folder / name, "class");
    const Outcome outcome = crescendo(with_overrides(
        {"train", config.string()}, {fmt::format("train.max_train_steps={}", steps)}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome;
  };
  train("whole", 12);
  train("pieces", 6);
  const Outcome second = train("pieces", 12);
  EXPECT_NE(second.err.find("config changed: train.max_train_steps: 6 -> 12\n"), std::string::npos)
      << second.err;
  expect_same_runs(folder / "pieces", folder / "whole", 12);
  expect_same_files(folder / "pieces" / "samples", folder / "whole" / "samples");
}

TEST(ResumedRunTest, AFinishedOneSaysSoAndWritesWhatIsMissing) {
  const TemporaryFolder folder;
  const fs::path run = folder / "run";
  write_train_config(folder / "c.toml", run, "none");
  const std::vector<std::string> arguments = {"train", (folder / "c.toml").string()};
  ASSERT_EQ(crescendo(arguments).exit_code, 0);
  const auto model = files_of(run / "model");
  const Outcome again = crescendo(arguments);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, (run / "model").string() + "\n");
  EXPECT_NE(again.err.find(": is finished, at step 6 of 6; "), std::string::npos) << again.err;
  fs::remove_all(run / "model");
  EXPECT_EQ(crescendo(arguments).exit_code, 0);
  EXPECT_EQ(files_of(run / "model"), model);
}

void compare_autoencoders(const fs::path& folder, const std::vector<std::string>& overrides) {
  std::vector<std::vector<std::string>> arguments;
  for (const char* name : {"whole", "pieces"}) {
    const fs::path config = folder / (std::string(name) + ".toml");
    write_vae_config(config, folder / name, workshop().shards);
    arguments.push_back(with_overrides(with_overrides({"train-vae", config.string()}, overrides),
                                       {"train.max_train_steps=40", "checkpoint.every=5"}));
  }
  ASSERT_EQ(crescendo(arguments[0]).exit_code, 0);
  run_and_kill(arguments[1], folder / "pieces", 13);
  const Outcome resumed = crescendo(arguments[1]);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  expect_same_runs(folder / "pieces", folder / "whole", 40);
}

TEST(ResumedRunTest, AutoencoderGoesOnBitForBit) {
  const TemporaryFolder folder;
  compare_autoencoders(folder.path(), {});
}

TEST(ResumedRunTest, AutoencoderGoesOnBitForBitInBuckets) {
  const TemporaryFolder folder;
  compare_autoencoders(folder.path(), bucketed(pack_mixed_shapes(folder.path())));
}

}  // namespace
}  // namespace crescendo::e2e
