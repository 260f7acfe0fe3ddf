#include "pipelines/training/train_setup.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "pipelines/config/config.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

/// A config with nothing wrong, for a folder that tiny_model was saved to.
TrainConfig config_for(ConditioningKind kind, const fs::path& model) {
  TrainConfig config;
  config.data.shards = {"x.tar"};
  config.data.resolution = 8;
  config.vae.path = model.string();
  config.unet = tiny_model(kind).unet->options();
  config.unet.num_class_embeds.reset();
  config.conditioning.conditioning = kind == ConditioningKind::kText    ? "text"
                                     : kind == ConditioningKind::kClass ? "class"
                                                                        : "none";
  config.text_encoder.max_length = 12;
  if (kind == ConditioningKind::kText) config.text_encoder.path = text_encoder_folder().string();
  if (kind == ConditioningKind::kClass) config.data.class_names = {"birds", "cups"};
  return config;
}

class TrainSetupTest : public testing::Test {
 protected:
  TrainConfig saved(ConditioningKind kind) {
    save_model(tiny_model(kind), folder_ / "m", text_encoder_folder());
    return config_for(kind, folder_ / "m");
  }

  TemporaryFolder folder_;
};

std::string check_error(TrainConfig config) {
  return error_text([&] { check(config); });
}

TEST_F(TrainSetupTest, ASoundConfigPasses) {
  for (const auto kind :
       {ConditioningKind::kNone, ConditioningKind::kClass, ConditioningKind::kText}) {
    EXPECT_EQ(check_error(config_for(kind, "x")), "");
  }
}

/// But for the folders, which are elsewhere.
TEST(ShippedConfigsTest, EachIsSound) {
  std::size_t found = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(CRESCENDO_SOURCE_DIR) / "configs")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".toml") || name.ends_with("-vae.toml")) continue;
    TrainConfig config;
    EXPECT_EQ(error_text([&] {
                read_config(entry.path(), {}, sections(config));
                check(config);
              }),
              "")
        << name;
    ++found;
  }
  EXPECT_GE(found, 11U);
}

TEST(ShippedConfigsTest, AMatchedPairDiffersInTheCurriculumAlone) {
  const fs::path folder = fs::path(CRESCENDO_SOURCE_DIR) / "configs/experiments";
  for (const std::string name : {"cifar10-uncond", "cifar10-class"}) {
    nlohmann::json arms[2];
    for (const auto& [arm, what] : {std::pair(0, "baseline"), std::pair(1, "curriculum")}) {
      TrainConfig config;
      read_config(folder / (name + "-" + what + ".toml"), {}, sections(config));
      arms[arm] = config_to_json(sections(config));
      EXPECT_EQ(arms[arm]["curriculum"]["enabled"], arm == 1);
      arms[arm]["curriculum"].erase("enabled");
      arms[arm]["run"].erase("output_dir");
    }
    EXPECT_EQ(arms[0], arms[1]) << name;
  }
}

TEST_F(TrainSetupTest, SelectsWhatIsTrained) {
  TrainConfig config = saved(ConditioningKind::kText);
  config.denoising.trainable = {"*attn2*"};
  const DiffusionModel model = build_model(config, at::kCPU);
  for (const auto& item : model.unet->named_parameters()) {
    EXPECT_EQ(item.value().requires_grad(), item.key().find("attn2") != std::string::npos);
  }
}

TEST_F(TrainSetupTest, ListsWhatIsMissing) {
  TrainConfig config = config_for(ConditioningKind::kText, "");
  EXPECT_EQ(check_error(config),
            "vae.path: expected the folder of an autoencoder, found none; `crescendo train-vae` "
            "makes one, and \"none\" trains on the pixels themselves");
  config.text_encoder.path.clear();
  config.data.shards.clear();
  EXPECT_EQ(check_error(config),
            "3 problems in the configuration\n"
            "  vae.path: expected the folder of an autoencoder, found none; `crescendo train-vae` "
            "makes one, and \"none\" trains on the pixels themselves\n"
            "  text_encoder.path: conditioning = \"text\" needs a text encoder; name the folder of "
            "a BERT, CLIP or T5 model, or set train.conditioning to \"class\" or \"none\"\n"
            "  data.shards: expected tar shards, found none; `crescendo pack` makes them of a "
            "folder");
}

TEST_F(TrainSetupTest, WithoutAnAutoencoderTheModelWorksOnPixels) {
  TrainConfig config = config_for(ConditioningKind::kNone, "none");
  config.data.resolution = 8;
  config.unet.in_channels = config.unet.out_channels = 3;
  config.vae.scaling_factor = 2;
  EXPECT_EQ(check_error(config), "");
  const DiffusionModel model = build_model(config, at::kCPU);
  EXPECT_EQ(model.latent_side(8, ""), 8);
  EXPECT_EQ(model.vae->scaling_factor(), 2);
  config.unet.in_channels = 4;
  EXPECT_EQ(error_text([&] { build_model(config, at::kCPU); }),
            "unet.in_channels: expected 3, the channels of the autoencoder's latents, found 4");
}

TEST_F(TrainSetupTest, TheBestNeedsAHeldOutLoss) {
  TrainConfig config = config_for(ConditioningKind::kNone, "x");
  config.checkpoint.keep_best = true;
  EXPECT_EQ(
      check_error(config),
      "checkpoint.keep_best: the best is that of the lowest held-out loss; expected shards in "
      "validation.shards, found none");
  config.validation.shards = {"held-out.tar"};
  EXPECT_EQ(check_error(config), "");
  config.validation.clusters = 1001;
  EXPECT_EQ(check_error(config),
            "validation.clusters: expected at most 1000, the timesteps, found 1001");
}

TEST_F(TrainSetupTest, BlocksMustSuitTheConditioning) {
  TrainConfig config = config_for(ConditioningKind::kNone, "x");
  config.conditioning.conditioning = "text";
  config.text_encoder.path = "x";
  EXPECT_TRUE(check_error(config).starts_with(
      "unet.down_block_types: conditioning = \"text\" needs cross-attention"));
  config = config_for(ConditioningKind::kText, "x");
  config.conditioning.conditioning = "none";
  EXPECT_NE(check_error(config).find("conditioning = \"none\" has no text to attend to"),
            std::string::npos);
  config = config_for(ConditioningKind::kNone, "x");
  config.unet.num_class_embeds = 4;
  EXPECT_EQ(check_error(config),
            "unet.num_class_embeds: conditioning = \"none\" has no classes; leave it out");
}

TEST_F(TrainSetupTest, TaskRoutingGoesByTimesteps) {
  TrainConfig config = config_for(ConditioningKind::kNone, "x");
  config.unet.dtr_alpha = 4;
  EXPECT_EQ(check_error(config), "");
  config.diffusion.num_train_timesteps = 500;
  EXPECT_EQ(check_error(config),
            "unet.dtr_timesteps: expected 500, as diffusion.num_train_timesteps, found 1000");
  config.diffusion = {.formulation = "edm"};
  config.curriculum.clustering.method = "quantile";
  config.sample.sampler.sampler = "heun";
  EXPECT_EQ(check_error(config),
            "unet.dtr_alpha: expected none with diffusion.formulation = \"edm\", whose models are "
            "told ln(sigma) / 4 and no timestep, found 4");
  config.unet.dtr_alpha.reset();
  EXPECT_EQ(check_error(config), "");
}

TEST_F(TrainSetupTest, TheCurriculumIsCheckedBeforeAnythingIsOpened) {
  TrainConfig config = config_for(ConditioningKind::kNone, "x");
  config.curriculum.clustering.clusters = 1001;
  EXPECT_EQ(check_error(config),
            "curriculum.clusters: expected between 1 and 1000 (the number of timesteps), found "
            "1001");
  config.curriculum.clustering.clusters = 20;
  config.curriculum.pacing.patience = 0;
  EXPECT_TRUE(check_error(config).starts_with("curriculum.pacing.patience: expected"))
      << check_error(config);
}

TEST_F(TrainSetupTest, CountsClasses) {
  TrainConfig config = config_for(ConditioningKind::kClass, "x");
  check(config);
  EXPECT_EQ(config.unet.num_class_embeds, 3);  // two and the one that stands for none
  config.unet.num_class_embeds = 2;
  EXPECT_EQ(check_error(config),
            "unet.num_class_embeds: expected at least 3, 2 class names and one that stands for "
            "none, found 2");
  config.conditioning.proportion_empty_prompts = 0;
  EXPECT_EQ(check_error(config), "");
  config.data.class_names.clear();
  config.unet.num_class_embeds.reset();
  EXPECT_EQ(check_error(config),
            "unet.num_class_embeds: conditioning = \"class\" needs the number of classes, or their "
            "names in data.class_names");
}

TEST_F(TrainSetupTest, BuildsTheModelOfTheSeed) {
  TrainConfig config = saved(ConditioningKind::kClass);
  check(config);
  const DiffusionModel model = build_model(config, at::kCPU);
  EXPECT_EQ(model.class_names, config.data.class_names);
  EXPECT_EQ(model.null_class, 2);
  EXPECT_EQ(model.unet->options().sample_size, 4);
  for (const at::Tensor& parameter : model.vae->parameters())
    EXPECT_FALSE(parameter.requires_grad());
  const auto first = [](const DiffusionModel& m) { return m.unet->parameters().front(); };
  EXPECT_TRUE(first(model).equal(first(build_model(config, at::kCPU))));
  config.run.seed = 1;
  EXPECT_FALSE(first(model).equal(first(build_model(config, at::kCPU))));
  config.vae.scaling_factor = 3;
  EXPECT_EQ(build_model(config, at::kCPU).vae->scaling_factor(), 3);
  config.conditioning.proportion_empty_prompts = 0;
  EXPECT_FALSE(build_model(config, at::kCPU).null_class.has_value());
}

TEST_F(TrainSetupTest, ComponentsMustFit) {
  const TrainConfig config = saved(ConditioningKind::kText);
  const auto build_error = [](const TrainConfig& spoilt) {
    return error_text([&] { build_model(spoilt, at::kCPU); });
  };
  ASSERT_EQ(build_error(config), "");
  TrainConfig spoilt = config;
  spoilt.unet.in_channels = 4;
  EXPECT_EQ(build_error(spoilt),
            "unet.in_channels: expected 3, the channels of the autoencoder's latents, found 4");
  spoilt = config;
  spoilt.unet.cross_attention_dim = {{8}};
  EXPECT_EQ(build_error(spoilt),
            "unet.cross_attention_dim: expected 16, the width of the text encoder, found 8");
  spoilt = config;
  spoilt.data.resolution = 10;
  EXPECT_TRUE(build_error(spoilt).starts_with("data.resolution: expected a multiple of 4 pixels"));
  spoilt = config;
  spoilt.data.enable_bucket = true;
  spoilt.data.bucket_reso_steps = 2;
  EXPECT_EQ(build_error(spoilt),
            "data.bucket_reso_steps: expected a multiple of 4 pixels, as the autoencoder and the "
            "U-Net halve them, found 2; the nearest are 4 and 8");
}

TEST_F(TrainSetupTest, BucketsAreCheckedFirst) {
  TrainConfig config = config_for(ConditioningKind::kNone, "x");
  config.data.enable_bucket = true;
  EXPECT_EQ(check_error(config),
            "data.bucket_reso_steps: expected a divisor of data.resolution, 8, so that there is a "
            "square bucket; found 64");
  config.data.bucket_reso_steps = 4;
  EXPECT_EQ(check_error(config), "");
  config.conditioning.cache_latents = true;
  EXPECT_TRUE(
      check_error(config).starts_with("train.cache_latents: latents in memory are all of "));
}

TEST_F(TrainSetupTest, OpenedUNetMustSuitTheConditioning) {
  TrainConfig config = saved(ConditioningKind::kText);
  config.unet_path = (folder_ / "m").string();
  config.conditioning.conditioning = "class";
  EXPECT_EQ(error_text([&] { build_model(config, at::kCPU); }),
            "train.conditioning: expected \"text\", as the U-Net of unet.path, found \"class\"");
}

TEST_F(TrainSetupTest, OpenedUNetBoundsTheClasses) {
  TrainConfig config = saved(ConditioningKind::kClass);
  config.unet_path = (folder_ / "m").string();
  config.unet = {};
  const DiffusionModel model = build_model(config, at::kCPU);
  EXPECT_EQ(model.null_class, 2);
  config.data.class_names.clear();
  EXPECT_EQ(need_of(config, model.num_classes()).num_classes, 2);
  config.data.class_names = {"a", "b", "c"};
  EXPECT_EQ(error_text([&] { build_model(config, at::kCPU); }),
            "data.class_names: expected at most 2, as the U-Net of unet.path, found 3");
}

TEST_F(TrainSetupTest, NeedFollowsFromTheConditioning) {
  const auto need = [](ConditioningKind kind) {
    return need_of(config_for(kind, "x"), tiny_model(kind).num_classes());
  };
  EXPECT_TRUE(need(ConditioningKind::kText).caption);
  EXPECT_FALSE(need(ConditioningKind::kText).label);
  EXPECT_FALSE(need(ConditioningKind::kClass).caption);
  EXPECT_TRUE(need(ConditioningKind::kClass).label);
  EXPECT_EQ(need(ConditioningKind::kClass).num_classes, 2);
  EXPECT_FALSE(need(ConditioningKind::kNone).caption);
  EXPECT_FALSE(need(ConditioningKind::kNone).label);
}

TEST_F(TrainSetupTest, SampleRequests) {
  const DiffusionModel model = tiny_model(ConditioningKind::kClass);
  TrainConfig config = config_for(ConditioningKind::kClass, "x");
  config.run.seed = 9;
  config.sample.labels = {"cups", "0"};
  EXPECT_TRUE(sample_requests(config, model).empty()) << "sample.every is 0";
  config.sample.every = 5;
  const std::vector<ImageRequest> requests = sample_requests(config, model);
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].label, 1);
  EXPECT_EQ(requests[1].label, 0);
  EXPECT_EQ(requests[1].seed, 10U);
  config.sample.labels = {"2"};
  EXPECT_EQ(error_text([&] { sample_requests(config, model); }),
            "sample.labels: expected a class from 0 to 1, found 2");
  config.sample.labels = {"cup"};
  EXPECT_NE(error_text([&] { sample_requests(config, model); }).find("did you mean 'cups'?"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
