#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> demo_configs(const std::string& ending, bool wanted) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(CRESCENDO_SOURCE_DIR) / "configs")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("demo-") || !name.ends_with(".toml")) continue;
    if (name.ends_with(ending) == wanted) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

/// The configs as they are, but for what a machine has elsewhere, and two small steps.
TEST(ConfigsTest, EachDemoRuns) {
  const TemporaryFolder folder;
  const fs::path vae = folder / "vae";
  const std::vector<std::string> small{"run.device=cpu",
                                       fmt::format("data.shards=[\"{}\"]", workshop().shards),
                                       "train.max_train_steps=2", "train.train_batch_size=2"};

  const auto first_stage = demo_configs("-vae.toml", true);
  ASSERT_EQ(first_stage.size(), 1U);
  std::vector<std::string> arguments =
      with_overrides({"train-vae", first_stage[0].string()}, small);
  const Outcome outcome =
      crescendo(with_overrides(arguments, {fmt::format("run.output_dir={}", vae.string())}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, (vae / "model").string() + "\n");

  const auto second_stage = demo_configs("-vae.toml", false);
  ASSERT_FALSE(second_stage.empty());
  for (const fs::path& config : second_stage) {
    const fs::path run = folder / config.stem().string();
    arguments = with_overrides(
        with_overrides({"train", config.string()}, small),
        {fmt::format("run.output_dir={}", run.string()),
         fmt::format("vae.path={}", (vae / "model").string()), "sample.every=2", "sample.steps=2"});
    if (content_of(config).find("conditioning = \"text\"") != std::string::npos) {
      arguments = with_overrides(
          arguments, {fmt::format("text_encoder.path={}", text_encoder_folder().string()),
                      "unet.cross_attention_dim=16"});
    }
    const Outcome trained = crescendo(arguments);
    ASSERT_EQ(trained.exit_code, 0) << config << "\n" << trained.err;
    EXPECT_TRUE(fs::exists(run / "model" / "model_index.json")) << config;
    EXPECT_TRUE(fs::exists(run / "samples" / "step-00000002.png")) << config;
  }
}

TEST(ConfigsTest, EachSaysAtItsTopWhatItTrains) {
  for (const auto& entry : fs::directory_iterator(fs::path(CRESCENDO_SOURCE_DIR) / "configs")) {
    if (entry.path().extension() != ".toml") continue;
    const std::string text = content_of(entry.path());
    EXPECT_TRUE(text.starts_with("# ")) << entry.path();
    const std::string top = text.substr(0, text.find("\n["));
    EXPECT_NE(top.find("Data:"), std::string::npos) << entry.path();
    EXPECT_NE(top.find("Hardware:"), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace crescendo::e2e
