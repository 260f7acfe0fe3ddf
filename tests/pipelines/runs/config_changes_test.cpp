#include "pipelines/runs/config_changes.h"

#include <gtest/gtest.h>

#include "pipelines/config/config.h"
#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

using Json = nlohmann::json;

/// "key: before -> after", with a star where it is harmless.
std::vector<std::string> describe(const std::vector<ConfigChange>& changes) {
  std::vector<std::string> lines;
  for (const ConfigChange& one : changes) {
    lines.push_back(
        fmt::format("{}: {} -> {}{}", one.key, one.before, one.after, one.harmless ? " *" : ""));
  }
  return lines;
}

/// Of the config of `train` when `section.key` becomes `value`.
std::vector<std::string> changes_when(const std::string& section, const std::string& key,
                                      const Json& value, const std::string& scheduler) {
  TrainConfig config;
  config.train.lr_scheduler = scheduler;
  const Json before = config_to_json(sections(config));
  Json after = before;
  EXPECT_TRUE(after.at(section).contains(key)) << key;
  after[section][key] = value;
  return describe(config_changes(before, after, Json::object()));
}

using Lines = std::vector<std::string>;

TEST(ConfigChangesTest, NoneWhereNothingChanged) {
  TrainConfig config;
  const Json values = config_to_json(sections(config));
  EXPECT_EQ(config_changes(Json::parse(values.dump()), values, values).size(), 0U);
}

TEST(ConfigChangesTest, TellsKeysThatMatterFromThoseThatDoNot) {
  const auto constant = [](const char* section, const char* key, const Json& value) {
    return changes_when(section, key, value, "constant").at(0);
  };
  EXPECT_EQ(constant("run", "seed", 7), "run.seed: 0 -> 7");
  EXPECT_EQ(constant("run", "device", "cpu"), "run.device: \"auto\" -> \"cpu\" *");
  EXPECT_EQ(constant("data", "shards", {"a", "b"}), "data.shards: [] -> [\"a\",\"b\"]");
  EXPECT_EQ(constant("data", "workers", 7), "data.workers: 2 -> 7 *");
  EXPECT_EQ(constant("data", "prefetch", 7), "data.prefetch: 2 -> 7 *");
  EXPECT_EQ(constant("train", "train_batch_size", 3), "train.train_batch_size: 16 -> 3");
  EXPECT_EQ(constant("train", "adam_beta2", 0.99), "train.adam_beta2: 0.999 -> 0.99");
  EXPECT_EQ(constant("unet", "layers_per_block", 3), "unet.layers_per_block: 2 -> 3");
  EXPECT_EQ(constant("diffusion", "snr_gamma", 3), "diffusion.snr_gamma: 5.0 -> 3");
  EXPECT_EQ(constant("curriculum", "clusters", 3).substr(0, 20), "curriculum.clusters:");
  EXPECT_EQ(constant("checkpoint", "every", 3), "checkpoint.every: 1000 -> 3 *");
  EXPECT_EQ(constant("sample", "prompts", {"x"}), "sample.prompts: [] -> [\"x\"] *");
}

TEST(ConfigChangesTest, TheEndMayMoveWhereNoRateDependsOnIt) {
  EXPECT_EQ(changes_when("train", "max_train_steps", 9, "constant"),
            Lines{"train.max_train_steps: 10000 -> 9 *"});
  EXPECT_EQ(changes_when("train", "max_train_steps", 20000, "cosine"),
            Lines{"train.max_train_steps: 10000 -> 20000"});
}

TEST(ConfigChangesTest, AKeyThatDidNotExistHadItsDefault) {
  const Json before = {{"train", {{"a", 1}}}, {"gone", {{"b", 2}}}};
  const Json after = {{"train", {{"a", 1}, {"new", 5}, {"other", 6}}}};
  const Json defaults = {{"train", {{"a", 0}, {"new", 5}, {"other", 0}}}};
  EXPECT_EQ(describe(config_changes(before, after, defaults)), Lines{"train.other: 0 -> 6"});
}

TEST(ConfigChangesTest, EveryHarmlessKeyExists) {
  TrainConfig config;
  const Json values = config_to_json(sections(config));
  for (const std::string_view pattern : harmless_keys()) {
    const std::string section(pattern.substr(0, pattern.find('.')));
    const std::string key(pattern.substr(pattern.find('.') + 1));
    ASSERT_TRUE(values.contains(section)) << pattern;
    EXPECT_TRUE(key == "*" || values[section].contains(key)) << pattern;
  }
}

TEST(ConfigChangesTest, RefusesAllThatMatterAtOnce) {
  const std::vector<ConfigChange> changes = {
      {"run.seed", "0", "7"}, {"sample.every", "0", "5", true}, {"train.ema_decay", "0.9", "0.8"}};
  EXPECT_EQ(error_text([&] { accept_config_changes(changes, false); }),
            "the run to resume was trained with another configuration\n"
            "  run.seed: 0 -> 7\n"
            "  train.ema_decay: 0.9 -> 0.8\n"
            "put that back, choose another run.output_dir for a new run, or go on with the new "
            "values by --allow-config-change");
  EXPECT_EQ(error_text([&] { accept_config_changes(changes, true); }), "");
  EXPECT_EQ(error_text([&] { accept_config_changes({changes[1]}, false); }), "");
}

TEST(ConfigChangesTest, TheGlobalBatchMayBeDividedAnew) {
  TrainConfig config;
  config.train.train_batch_size = 4;
  config.train.gradient_accumulation_steps = 2;
  const Json before = config_to_json(sections(config));
  config.train.gradient_accumulation_steps = 1;
  Json after = config_to_json(sections(config));
  const std::string passes = "train.gradient_accumulation_steps: 2 -> 1";
  EXPECT_EQ(describe(config_changes(before, after, Json::object(), 2, 4)),
            (Lines{"ranks: 2 -> 4 *", passes + " *"}));
  const std::string product =
      "ranks x train.train_batch_size x train.gradient_accumulation_steps: ";
  EXPECT_EQ(describe(config_changes(before, after, Json::object(), 2, 2)), (Lines{passes}));
  EXPECT_EQ(describe(config_changes(before, before, Json::object(), 4, 2)),
            (Lines{"ranks: 4 -> 2 *", product + "32 -> 16"}));
  config.train.train_batch_size = 8;
  after = config_to_json(sections(config));
  const std::string size = "train.train_batch_size: 4 -> 8";
  EXPECT_EQ(describe(config_changes(before, after, Json::object(), 2, 2)),
            (Lines{passes + " *", size + " *"}));
  after["data"]["enable_bucket"] = true;  // a batch there is of one size of image
  EXPECT_EQ(describe(config_changes(before, after, Json::object(), 2, 2)),
            (Lines{"data.enable_bucket: false -> true", passes + " *", size}));
}

}  // namespace
}  // namespace crescendo::pipelines
