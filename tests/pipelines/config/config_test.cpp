#include "pipelines/config/config.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

class ConfigTest : public testing::Test {
 protected:
  TrainConfig read(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    TrainConfig config;
    write_file_atomically(file_, text);
    read_config(file_, overrides, sections(config));
    return config;
  }

  std::string error_of(const std::string& text,
                       const std::vector<std::string>& overrides = {}) const {
    return error_text([&] { read(text, overrides); });
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "c.toml";
};

TEST_F(ConfigTest, SetsFieldsOfEverySection) {
  const TrainConfig config = read(R"(
[run]
seed = 7
[unet]
block_out_channels = [8, 16]
attention_head_dim = [2, 4]
num_class_embeds = 5
[curriculum]
clusters = 6
[curriculum.pacing]
patience = 9
[train]
conditioning = "class"
learning_rate = 1
[sample]
sampler = "ddpm"
prompts = ["a", "b"]
)");
  EXPECT_EQ(config.run.seed, 7);
  EXPECT_EQ(config.unet.block_out_channels, (std::vector<std::int64_t>{8, 16}));
  EXPECT_EQ(config.unet.attention_head_dim.values, (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(config.unet.num_class_embeds, 5);
  EXPECT_EQ(config.curriculum.clustering.clusters, 6);
  EXPECT_EQ(config.curriculum.pacing.patience, 9);
  EXPECT_EQ(config.conditioning.conditioning, "class");
  EXPECT_EQ(config.train.learning_rate, 1.0);
  EXPECT_EQ(config.sample.sampler.sampler, "ddpm");
  EXPECT_EQ(config.sample.prompts, (std::vector<std::string>{"a", "b"}));
}

TEST_F(ConfigTest, ListsEveryErrorWithItsLine) {
  const std::string name = file_.string();
  EXPECT_EQ(error_of("[train]\nlearnin_rate = 1\nuse_ema = 3\n[dat]\nx = 1\n[run]\nseed = -1\n"
                     "[unet]\nact_fn = \"gelu\"\n"),
            "5 problems in the configuration\n"
            "  " +
                name +
                ":4: unknown section [dat]; did you mean 'data'?\n"
                "  " +
                name +
                ":7: run.seed: expected integer, at least 0, found -1\n"
                "  " +
                name +
                ":2: train.learnin_rate: unknown key; did you mean 'learning_rate'?\n"
                "  " +
                name +
                ":3: train.use_ema: expected true or false, found 3\n"
                "  " +
                name + ":9: unet.act_fn: only \"silu\" is supported, found \"gelu\"");
}

TEST_F(ConfigTest, OneErrorIsOneLine) {
  const std::string name = file_.string();
  EXPECT_EQ(error_of("[train]\noptimizer = \"lion\"\n"),
            name + ":2: train.optimizer: expected one of adamw, sgd, found \"lion\"");
  EXPECT_TRUE(
      error_of("xyz = 3\n")
          .starts_with(name + ":1: unknown section [xyz]; expected one of run, data, vae, "));
  EXPECT_EQ(error_of("run = 3\n"), name + ":1: run: expected a section, [run]");
  EXPECT_EQ(error_of("[curriculum]\npacing = 3\n"),
            name + ":2: curriculum.pacing: expected a section, [curriculum.pacing]");
  EXPECT_EQ(error_of("[data]\nshards = [\n 1]\n"),
            name + ":2: data.shards: expected list of strings, found 1");
  EXPECT_EQ(error_of("[run]\nseed = 1979-05-27\n"),
            name + ":2: run.seed: expected integer, at least 0, found \"1979-05-27\"");
}

TEST_F(ConfigTest, SyntaxErrorHasLineAndColumn) {
  EXPECT_TRUE(
      error_of("[run]\nseed = = 1\n").starts_with(file_.string() + ":2:8: not valid TOML: "));
  EXPECT_TRUE(error_of("[run\n").starts_with(file_.string() + ":1:5: not valid TOML: "));
  EXPECT_TRUE(error_of("[run]\nseed = 1\nseed = 2\n").starts_with(file_.string() + ":3:"));
}

TEST_F(ConfigTest, MissingFile) {
  TrainConfig config;
  EXPECT_EQ(error_text([&] { read_config("/nowhere/c.toml", {}, sections(config)); }),
            "/nowhere/c.toml: cannot read: No such file or directory");
}

TEST_F(ConfigTest, OverridesWinAndTheLastOneWins) {
  const TrainConfig config =
      read("[train]\nlearning_rate = 1\n[data]\nresolution = 8\n",
           {"train.learning_rate=5e-5", "data.resolution=16", "data.resolution = 32",
            "run.output_dir=runs/a=b", "data.shards=[\"a.tar\", \"b.tar\"]", "run.device='cpu'",
            "train.use_ema=false", "curriculum.pacing.patience=3"});
  EXPECT_EQ(config.train.learning_rate, 5e-5);
  EXPECT_EQ(config.data.resolution, 32);
  EXPECT_EQ(config.run.output_dir, "runs/a=b");
  EXPECT_EQ(config.data.shards, (std::vector<std::string>{"a.tar", "b.tar"}));
  EXPECT_EQ(config.run.device, "cpu");
  EXPECT_FALSE(config.train.use_ema);
  EXPECT_EQ(config.curriculum.pacing.patience, 3);
}

TEST_F(ConfigTest, OverrideErrorsNameTheFlag) {
  EXPECT_EQ(error_of("", {"seed=3"}), "--set seed=3: expected section.key=value");
  EXPECT_EQ(error_of("", {"run.seed"}), "--set run.seed: expected section.key=value");
  EXPECT_EQ(error_of("", {"trian.x=1"}),
            "--set trian.x=1: unknown section [trian]; did you mean 'train'?");
  EXPECT_EQ(error_of("", {"run.sed=1"}),
            "--set run.sed=1: run.sed: unknown key; did you mean 'seed'?");
  EXPECT_EQ(error_of("", {"run.seed=x"}),
            "--set run.seed=x: run.seed: expected integer, at least 0, found \"x\"");
  EXPECT_EQ(error_of("", {"run.seed="}),
            "--set run.seed=: run.seed: expected integer, at least 0, found \"\"");
}

template <typename Config>
void expect_round_trip(Config& config, const fs::path& file) {
  for (const bool comments : {false, true}) {
    const std::string text = config_to_toml(sections(config), comments);
    write_file_atomically(file, text);
    Config read;
    read_config(file, {}, sections(read));
    EXPECT_EQ(config_to_toml(sections(read), comments), text);
  }
}

TEST_F(ConfigTest, DefaultsRoundTrip) {
  TrainConfig train;
  expect_round_trip(train, file_);
  TrainVaeConfig train_vae;
  expect_round_trip(train_vae, file_);
}

TEST_F(ConfigTest, ChangedValuesRoundTrip) {
  TrainConfig config;
  config.run.output_dir = "a \"quoted\" \\ path\twith \xC3\xA4";
  config.run.seed = 9'007'199'254'740'993;
  config.data.shards = {"a,b.tar", "{0..3}.tar"};
  config.vae.scaling_factor = 0.1 + 0.2;
  config.unet.layers_per_block = {{1, 2, 3, 4}};
  config.unet.num_class_embeds = 11;
  config.unet.sample_size = 3;
  config.train.learning_rate = 1e-300;
  config.train.adam_weight_decay = 1e22;
  config.curriculum.pacing.patience = 1;
  config.curriculum.clustering.boundaries = {0, 5};
  expect_round_trip(config, file_);
  const TrainConfig read_back = read(config_to_toml(sections(config), true));
  EXPECT_EQ(read_back.run.output_dir, config.run.output_dir);
  EXPECT_EQ(read_back.run.seed, config.run.seed);
  EXPECT_EQ(read_back.vae.scaling_factor, config.vae.scaling_factor);
  EXPECT_EQ(read_back.unet.layers_per_block.values, config.unet.layers_per_block.values);
  EXPECT_EQ(read_back.train.learning_rate, config.train.learning_rate);
  EXPECT_EQ(read_back.curriculum.pacing.patience, 1);
}

template <typename Config>
void expect_documented(Config config) {
  for (const Section& section : sections(config)) {
    EXPECT_FALSE(section.doc.empty()) << section.name;
    const std::string text = config_to_toml(std::vector{section}, true);
    for (const Field& field : section.fields) {
      EXPECT_FALSE(field.doc.empty()) << section.name << "." << field.name;
      EXPECT_EQ(field.doc.find('\n'), std::string::npos) << section.name << "." << field.name;
      EXPECT_NE(text.find("# " + field.doc + " (" + describe_type(field) + ")\n"),
                std::string::npos)
          << section.name << "." << field.name;
      const auto same = [&](const Field& other) { return other.name == field.name; };
      EXPECT_EQ(std::ranges::count_if(section.fields, same), 1) << field.name;
    }
  }
}

TEST_F(ConfigTest, EveryKeyIsDocumentedOnce) {
  expect_documented(TrainConfig{});
  expect_documented(TrainVaeConfig{});
}

}  // namespace
}  // namespace crescendo::pipelines
