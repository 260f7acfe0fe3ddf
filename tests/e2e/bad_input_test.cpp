#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

/// A config that works, to be spoilt.
class BadInputTest : public testing::Test {
 protected:
  BadInputTest() { write_train_config(config_, run_, "text"); }

  Outcome train(const std::vector<std::string>& overrides,
                const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> arguments = with_overrides({"train", config_.string()}, overrides);
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return crescendo(arguments);
  }

  TemporaryFolder folder_;
  fs::path config_ = folder_ / "c.toml";
  fs::path run_ = folder_ / "run";
};

TEST_F(BadInputTest, UnknownKeyHasLineAndNearest) {
  write_file_atomically(config_, "[run]\noutput_dir = \"x\"\n\n[train]\nlearnin_rate = 1\n");
  expect_error(train({}), config_.string() +
                              ":5: train.learnin_rate: unknown key; did you mean "
                              "'learning_rate'?");
  EXPECT_FALSE(fs::exists("x"));
}

TEST_F(BadInputTest, SyntaxErrorHasLineAndColumn) {
  write_file_atomically(config_, "[run]\nseed = = 3\n");
  expect_error(train({}), config_.string() + ":2:8: not valid TOML: ");
}

TEST_F(BadInputTest, MissingPartsAreListedTogether) {
  const Outcome outcome = train({"vae.path=", "text_encoder.path=", "data.shards=[]"});
  expect_error(outcome, "3 problems in the configuration");
  EXPECT_NE(outcome.err.find("\n  text_encoder.path: conditioning = \"text\" needs a text encoder"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(run_));
}

TEST_F(BadInputTest, SizesThatDoNotDivide) {
  expect_error(train({"data.resolution=18"}),
               "data.resolution: expected a multiple of 4 pixels, as the autoencoder and the U-Net "
               "halve them, found 18");
}

TEST_F(BadInputTest, ComponentsThatDoNotFit) {
  expect_error(train({"unet.cross_attention_dim=24"}),
               "unet.cross_attention_dim: expected 16, the width of the text encoder, found 24");
  expect_error(train({"unet.in_channels=3"}), "unet.in_channels: expected 4, ");
  expect_error(train({"vae.path=/nowhere"}), "/nowhere");
  expect_error(train({"sample.steps=2000"}), "expected at most 1000");
}

TEST_F(BadInputTest, OutputFolderThatCannotBeWritten) {
  write_file_atomically(folder_ / "file", "mine");
  const std::string file = (folder_ / "file").string();
  expect_error(train({"run.output_dir=" + file}), file + ": cannot create the folder: ");
  expect_error(train({"run.output_dir=" + file + "/run"}), "cannot create the folder: ");
  expect_error(train({"run.output_dir="}), "run.output_dir: expected the folder to write the run");
  EXPECT_EQ(content_of(folder_ / "file"), "mine");
}

TEST_F(BadInputTest, ReadOnlyFolder) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const fs::path closed = folder_ / "closed";
  fs::create_directory(closed);
  fs::permissions(closed, fs::perms::owner_read | fs::perms::owner_exec);
  expect_error(train({"run.output_dir=" + (closed / "run").string()}), "Permission denied");
  fs::permissions(closed, fs::perms::owner_all);
}

TEST_F(BadInputTest, UsedFolderIsLeftAlone) {
  ASSERT_EQ(train({}).exit_code, 0);
  const std::string metrics = content_of(run_ / "metrics.jsonl");
  const std::string resolved = content_of(run_ / "config.toml");
  expect_error(train({}, {"--no-resume"}), run_.string() + ": already holds a run, which ");
  const Outcome changed = train({"run.seed=4", "train.max_train_steps=7"});
  EXPECT_EQ(changed.exit_code, 2);
  EXPECT_NE(changed.err.find("the run to resume was trained with another configuration\n"
                             "  run.seed: 0 -> 4\n"),
            std::string::npos)
      << changed.err;
  EXPECT_EQ(content_of(run_ / "metrics.jsonl"), metrics);
  EXPECT_EQ(content_of(run_ / "config.toml"), resolved);
}

TEST_F(BadInputTest, CheckpointCutShort) {
  ASSERT_EQ(train({}).exit_code, 0);
  const fs::path newest = run_ / "checkpoints" / "step-00000006";
  const std::string weights = content_of(newest / "weights.safetensors");
  fs::resize_file(newest / "optimizer.safetensors", 5000);
  expect_error(train({}, {"--resume", newest.string()}),
               (newest / "optimizer.safetensors").string() + ": ");
  EXPECT_TRUE(fs::exists(newest / "state.json"));

  const Outcome passed_over = train({"train.max_train_steps=7"}, {"--resume"});
  EXPECT_EQ(passed_over.exit_code, 0) << passed_over.err;
  EXPECT_NE(passed_over.err.find("passes over a damaged checkpoint: " + newest.string()),
            std::string::npos);
  EXPECT_NE(passed_over.err.find("resumes at step 3 from "), std::string::npos);
  EXPECT_TRUE(content_of(newest / "weights.safetensors") == weights);
  EXPECT_GT(fs::file_size(newest / "optimizer.safetensors"), 5000U);
}

TEST_F(BadInputTest, NoCheckpointThatLoads) {
  ASSERT_EQ(train({}).exit_code, 0);
  write_file_atomically(run_ / "checkpoints" / "step-00000003" / "state.json", "{");
  fs::remove(run_ / "checkpoints" / "step-00000006" / "weights.safetensors");
  expect_error(train({"train.max_train_steps=7"}, {"--resume"}),
               "none of its 2 checkpoints can be loaded");
}

TEST_F(BadInputTest, ModelWhoseHeaderLies) {
  ASSERT_EQ(train({"train.max_train_steps=1"}).exit_code, 0);
  const fs::path file = run_ / "model" / "unet" / "diffusion_pytorch_model.safetensors";
  std::string bytes = content_of(file);
  const std::string honest = "\"shape\":[8,4,3,3]";
  ASSERT_NE(bytes.find(honest), std::string::npos);
  bytes.replace(bytes.find(honest), honest.size(), "\"shape\":[9,4,3,3]");
  write_file_atomically(file, bytes);
  const std::string out = (folder_ / "x.png").string();
  const std::vector<std::string> arguments{"generate", "-m", run_.string(), "-p", "a", "-o", out};
  expect_error(crescendo(arguments), file.string() + ": tensor 'conv_in.weight': its shape and ");
  fs::resize_file(file, bytes.size() / 2);
  expect_error(crescendo(arguments), file.string() + ": ");
  fs::remove(file);
  expect_error(crescendo(arguments), (run_ / "model" / "unet").string());
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(BadInputTest, TrainingOnFromAModelOfAnotherKind) {
  ASSERT_EQ(train({"train.max_train_steps=1"}).exit_code, 0);
  const std::string from = "unet.path=" + (run_ / "model").string();
  const std::string there = "run.output_dir=" + (folder_ / "there").string();
  expect_error(train({from, there, "train.conditioning=none"}),
               "train.conditioning: expected \"text\", as the U-Net of unet.path, found \"none\"");
  EXPECT_EQ(train({from, there, "train.max_train_steps=1"}).exit_code, 0);
}

TEST_F(BadInputTest, WhatGenerateCannotDo) {
  write_train_config(config_, run_, "class");
  // Sheets of samples are checked before the first step.
  expect_error(train({"train.proportion_empty_prompts=0"}), "cfg_scale: this model has no class");
  expect_error(train({"sample.labels=[\"7\"]"}), "sample.labels: expected a class from 0 to 2");
  EXPECT_TRUE(content_of(run_ / "metrics.jsonl").empty());
  ASSERT_EQ(train({"train.proportion_empty_prompts=0", "sample.cfg_scale=1"}).exit_code, 0);
  const std::string out = (folder_ / "x.png").string();
  const auto generate = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"generate", "-m", run_.string(), "--steps", "2"});
    return crescendo(flags);
  };
  expect_error(generate({"-o", out, "-p", "a bird"}),
               "a class model; expected labels (--label) and no prompts");
  expect_error(generate({"-o", out, "--label", "bids"}), "did you mean 'birds'?");
  expect_error(generate({"-o", out, "--label", "3"}), "expected a class from 0 to 2, found 3");
  expect_error(generate({"-o", out, "--label", "0"}), "cfg_scale: this model has no class");
  expect_error(generate({"-o", out, "--label", "0", "--cfg-scale", "1", "-W", "18"}),
               "width: expected a multiple of 4 pixels");
  EXPECT_FALSE(fs::exists(out));
  write_file_atomically(folder_ / "file", "mine");
  expect_error(
      generate({"-o", (folder_ / "file/x.png").string(), "--label", "0", "--cfg-scale", "1"}),
      "cannot create the folder: ");
  EXPECT_EQ(generate({"-o", out, "--label", "0", "--cfg_scale=1"}).exit_code, 0);
}

TEST_F(BadInputTest, NumbersOfFlags) {
  const auto generate = [](const char* flag, const char* number) {
    return crescendo({"generate", "-m", "model", "-o", "x.png", flag, number});
  };
  expect_error(generate("--steps", "0"), "--steps: expected a number above 0, found '0'");
  expect_error(generate("--steps", "many"), "--steps: expected a number above 0, found 'many'");
  expect_error(generate("--cfg-scale", "-1"),
               "--cfg-scale: expected a number of 0 or more, found '-1'");
  expect_error(generate("--cfg-scale", "nan"),
               "--cfg-scale: expected a number of 0 or more, found 'nan'");
}

TEST_F(BadInputTest, UnknownSubcommandAndFlag) {
  expect_error(crescendo({"trian", config_.string()}),
               "unknown subcommand 'trian'; did you mean 'train'?");
  expect_error(train({}, {"--frobnicate"}),
               "unknown option '--frobnicate'; crescendo train --help has those that there are");
  // Not that --output is missing.
  expect_error(crescendo({"generate", "--promt", "a fox"}),
               "unknown option '--promt'; did you mean '--prompt'?");
  expect_error(crescendo({"generate", "-m", "model", "--grid", "-o", "x.png"}),
               "--grid: expected a value, found the option -o");
  const Outcome nothing = crescendo({});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_NE(nothing.err.find("subcommand is required"), std::string::npos) << nothing.err;
  expect_error(crescendo({"train", "/nowhere.toml"}), "/nowhere.toml: cannot read: ");
  expect_error(crescendo({"inspect", "/nowhere"}), "/nowhere");
  expect_error(crescendo({"config", "curiculum"}), "did you mean 'curriculum'?");
  EXPECT_FALSE(fs::exists(run_));
}

}  // namespace
}  // namespace crescendo::e2e
