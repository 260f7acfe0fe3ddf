#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

TEST(FlagsTest, VersionIsOneLine) {
  const Outcome outcome = crescendo({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, CRESCENDO_VERSION "\n");
}

TEST(FlagsTest, EverySubcommandHasHelpWithExamples) {
  const Outcome whole = crescendo({"--help"});
  EXPECT_EQ(whole.exit_code, 0);
  for (const char* name : {"pack", "index", "inspect", "cache", "train-vae", "train", "generate",
                           "serve", "evaluate", "compare", "study", "convert", "config"}) {
    EXPECT_NE(whole.out.find(fmt::format("\n  {} ", name)), std::string::npos) << name;
    const Outcome outcome = crescendo({name, "--help"});
    EXPECT_EQ(outcome.exit_code, 0) << name;
    EXPECT_NE(outcome.out.find(fmt::format("Examples:\n  crescendo {} ", name)), std::string::npos)
        << outcome.out;
  }
}

TEST(FlagsTest, UnderscoresAreHyphens) {
  const TemporaryFolder folder;
  const std::string shards = (folder / "shards").string();
  make_pictures(folder / "pictures");
  const Outcome outcome =
      crescendo({"pack", (folder / "pictures").string(), "--out", shards, "--max_samples=10"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("packed 24 samples into 3 shards\n"), std::string::npos);
  const Outcome again = crescendo(
      {"pack", (folder / "pictures").string(), "--out", shards + "2", "--max_samples", "5"});
  EXPECT_NE(again.out.find("packed 24 samples into 5 shards\n"), std::string::npos) << again.err;
}

TEST(FlagsTest, SetWinsOverTheFileAndTheLastOneWins) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "none");
  const Outcome outcome = crescendo(
      with_overrides({"train", (folder / "c.toml").string()},
                     {"train.max_train_steps=1", "train.max_train_steps=2", "sample.every=0",
                      "curriculum.pacing.patience=9", "data.background=#102030"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder / "run/checkpoints/step-00000002"));
  const std::string resolved = content_of(folder / "run/config.toml");
  EXPECT_NE(resolved.find("patience = 9\n"), std::string::npos);
  EXPECT_NE(resolved.find("background = \"#102030\"\n"), std::string::npos);
  EXPECT_NE(resolved.find("batch_size = 4\n"), std::string::npos);
}

TEST(FlagsTest, ResolvedConfigRunsAgain) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "none");
  ASSERT_EQ(crescendo({"train", (folder / "c.toml").string()}).exit_code, 0);
  const std::string again = fmt::format("run.output_dir={}", (folder / "again").string());
  const Outcome outcome =
      crescendo(with_overrides({"train", (folder / "run/config.toml").string()}, {again}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const char* weights = "checkpoints/step-00000006/weights.safetensors";
  EXPECT_TRUE(content_of(folder / "run" / weights) == content_of(folder / "again" / weights));
}

TEST(FlagsTest, QuietIsSilent) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "none");
  const std::string config = (folder / "c.toml").string();
  const Outcome quiet = crescendo({"-q", "train", config});
  ASSERT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_EQ(quiet.err, "");
  const std::string model = (folder / "run/model").string();
  const Outcome behind = crescendo(
      {"generate", "-m", model, "--steps", "2", "-o", (folder / "a.png").string(), "--quiet"});
  ASSERT_EQ(behind.exit_code, 0) << behind.err;
  EXPECT_EQ(behind.err, "");
  const Outcome loud =
      crescendo({"generate", "-m", model, "--steps", "2", "-o", (folder / "b.png").string()});
  EXPECT_NE(loud.err, "");
}

TEST(FlagsTest, DryRunWritesNothing) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "text");
  const Outcome outcome = crescendo({"train", (folder / "c.toml").string(), "--dry-run"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("dry run: everything fits; nothing was written"), std::string::npos);
  EXPECT_NE(outcome.err.find("latents: [4, 4, 8, 8] a batch"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST(FlagsTest, DryRunTellsWhatARunWouldTake) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "none");
  const std::vector<std::string> dry = with_overrides(
      {"train", (folder / "c.toml").string(), "-n"},
      {"train.gradient_accumulation_steps=2", "train.max_train_steps=12", "train.use_ema=false"});
  const Outcome outcome = crescendo(dry);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* expected :
       {"a step: 8 images (4 x 2 accumulated), ", "measured at the second step",
        "epochs: 24 samples are 3 steps; 12 steps are 4 epochs",
        "memory: ", "checkpoint: ", "time to finish: about ", " for 12 steps"}) {
    EXPECT_NE(outcome.err.find(expected), std::string::npos) << expected << "\n" << outcome.err;
  }
  EXPECT_EQ(outcome.err.find("would resume"), std::string::npos);
}

TEST(FlagsTest, DryRunSaysWhereTheRunWouldResume) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "none");
  const std::vector<std::string> train = {"train", (folder / "c.toml").string()};
  ASSERT_EQ(crescendo(with_overrides(train, {"train.max_train_steps=3"})).exit_code, 0);
  const auto before = files_of(folder / "run");
  const Outcome outcome = crescendo({"train", (folder / "c.toml").string(), "-n"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("would resume at step 3 from "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" for 3 steps"), std::string::npos) << outcome.err;
  EXPECT_EQ(files_of(folder / "run"), before);
}

TEST(FlagsTest, DryRunFindsWhatWouldFailLater) {
  const TemporaryFolder folder;
  write_train_config(folder / "c.toml", folder / "run", "class");
  const std::vector<std::string> dry = {"train", (folder / "c.toml").string(), "-n"};
  const Outcome label = crescendo(with_overrides(dry, {"sample.every=1", "sample.labels=['99']"}));
  EXPECT_EQ(label.exit_code, 2);
  EXPECT_NE(label.err.find("sample.labels: expected a class from 0 to"), std::string::npos)
      << label.err;
  const Outcome flip =
      crescendo(with_overrides(dry, {"train.cache_latents=true", "data.random_flip=true"}));
  EXPECT_EQ(flip.exit_code, 2);
  EXPECT_NE(flip.err.find("train.cache_latents: a sample is encoded once"), std::string::npos)
      << flip.err;
}

TEST(FlagsTest, ConfigPrintsWhatTrainReads) {
  const Outcome one = crescendo({"config", "curriculum"});
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_NE(one.out.find("\n[curriculum]\n"), std::string::npos);
  EXPECT_NE(one.out.find("\n[curriculum.pacing]\n"), std::string::npos);
  EXPECT_EQ(one.out.find("[train]"), std::string::npos);
  const TemporaryFolder folder;
  for (const char* job : {"train", "train-vae"}) {
    write_file_atomically(folder / "c.toml", crescendo({"config", "--job", job}).out);
    const Outcome read = crescendo({job, (folder / "c.toml").string()});
    EXPECT_EQ(read.exit_code, 2);
    EXPECT_NE(read.err.find("data.shards: expected tar shards, found none"), std::string::npos)
        << read.err;
  }
}

}  // namespace
}  // namespace crescendo::e2e
