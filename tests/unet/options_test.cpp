#include "unet/options.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace crescendo::unet {
namespace {

std::string error_of(const nlohmann::json& values) {
  try {
    read_unet_options(values, "unet/config.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(OptionsTest, DefaultsAreTheReferences) {
  const UNet2DConditionOptions options =
      read_unet_options(nlohmann::json::object(), "unet/config.json");
  EXPECT_EQ(options.block_out_channels, (std::vector<std::int64_t>{320, 640, 1280, 1280}));
  EXPECT_EQ(options.layers_per_block.at(3), 2);
  EXPECT_EQ(options.attention_head_dim.at(0), 8);
  EXPECT_EQ(options.cross_attention_dim.at(0), 1280);
  EXPECT_EQ(options.norm_eps, 1e-5);
  EXPECT_FALSE(options.num_class_embeds.has_value());
  EXPECT_EQ(options.downscale_factor(), 8);
  EXPECT_TRUE(options.has_cross_attention());
}

/// The keys of Stable Diffusion 1's config, some of which every later one has too.
nlohmann::json stable_diffusion_1() {
  return nlohmann::json::parse(R"({
      "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.2.2", "act_fn": "silu",
      "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
      "center_input_sample": false, "cross_attention_dim": 768,
      "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                           "DownBlock2D"],
      "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 4,
      "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
      "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
      "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                         "CrossAttnUpBlock2D"]})");
}

nlohmann::json stable_diffusion_2() {
  nlohmann::json config = stable_diffusion_1();
  config.update(nlohmann::json::parse(R"({
      "_diffusers_version": "0.10.0.dev0", "attention_head_dim": [5, 10, 20, 20],
      "cross_attention_dim": 1024, "dual_cross_attention": false, "num_class_embeds": null,
      "only_cross_attention": false, "sample_size": 96, "use_linear_projection": true,
      "upcast_attention": true})"));
  return config;
}

/// What diffusers adds when it saves one again, and what conversion scripts made null.
nlohmann::json saved_again(nlohmann::json config) {
  config.update(nlohmann::json::parse(R"({
      "_name_or_path": "unet", "addition_embed_type": null, "addition_embed_type_num_heads": 64,
      "addition_time_embed_dim": null, "attention_type": "default", "class_embed_type": null,
      "class_embeddings_concat": false, "conv_in_kernel": 3, "conv_out_kernel": 3,
      "cross_attention_norm": null, "dropout": 0.0, "encoder_hid_dim": null,
      "encoder_hid_dim_type": null, "mid_block_only_cross_attention": null,
      "mid_block_type": "UNetMidBlock2DCrossAttn", "num_attention_heads": null,
      "num_class_embeds": null, "projection_class_embeddings_input_dim": null,
      "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": false,
      "resnet_time_scale_shift": "default", "reverse_transformer_layers_per_block": null,
      "time_cond_proj_dim": null, "time_embedding_act_fn": null, "time_embedding_dim": null,
      "time_embedding_type": "positional", "timestep_post_act": null,
      "transformer_layers_per_block": 1, "upcast_attention": null})"));
  return config;
}

TEST(OptionsTest, ReadsThePublishedConfigs) {
  const auto first = read_unet_options(stable_diffusion_1(), "unet/config.json");
  EXPECT_EQ(first.attention_head_dim.at(3), 8);
  EXPECT_EQ(first.sample_size, 64);
  EXPECT_FALSE(first.use_linear_projection);
  const auto second = read_unet_options(stable_diffusion_2(), "unet/config.json");
  EXPECT_EQ(second.attention_head_dim.at(2), 20);
  EXPECT_EQ(second.sample_size, 96);
  EXPECT_TRUE(second.use_linear_projection);
  for (nlohmann::json config : {stable_diffusion_1(), stable_diffusion_2()}) {
    config["in_channels"] = 9;  // for inpainting
    EXPECT_EQ(read_unet_options(saved_again(config), "unet/config.json").in_channels, 9);
  }
}

TEST(OptionsTest, AFeatureIsOffInOtherWords) {
  const auto off = nlohmann::json::parse(R"({
      "only_cross_attention": [false, false, false, false], "dual_cross_attention": null,
      "mid_block_only_cross_attention": false, "act_fn": "swish"})");
  EXPECT_EQ(error_of(off), "");
}

TEST(OptionsTest, NullMidBlockIsNone) {
  const auto options = read_unet_options({{"mid_block_type", nullptr}}, "unet/config.json");
  EXPECT_FALSE(options.mid_block_type.has_value());
}

TEST(OptionsTest, HasCrossAttentionLooksAtEveryBlock) {
  UNet2DConditionOptions options;
  options.down_block_types.assign(4, "AttnDownBlock2D");
  options.up_block_types.assign(4, "AttnUpBlock2D");
  EXPECT_TRUE(options.has_cross_attention());
  options.mid_block_type = "UNetMidBlock2D";
  EXPECT_FALSE(options.has_cross_attention());
  options.up_block_types[1] = "CrossAttnUpBlock2D";
  EXPECT_TRUE(options.has_cross_attention());
}

TEST(OptionsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(error_of({{"attention_head_dims", 8}}),
            "unet/config.json: attention_head_dims: unknown key; did you mean "
            "'attention_head_dim'?");
}

TEST(OptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(error_of({{"addition_embed_type", "text_time"}}),
            R"(unet/config.json: addition_embed_type: only null is supported, found "text_time")");
  EXPECT_EQ(error_of({{"only_cross_attention", true}}),
            "unet/config.json: only_cross_attention: only false is supported, found true");
  EXPECT_EQ(error_of({{"only_cross_attention", {true, true, true, false}}}),
            "unet/config.json: only_cross_attention: only false is supported, found "
            "[true,true,true,false]");
  EXPECT_EQ(error_of({{"resnet_time_scale_shift", "spatial"}}),
            "unet/config.json: resnet_time_scale_shift: expected one of default, scale_shift, "
            R"(found "spatial")");
}

TEST(OptionsTest, ListsEveryContradiction) {
  EXPECT_EQ(error_of({{"layers_per_block", {2, 2, 2}}, {"up_block_types", {"UpBlock2D"}}}),
            "unet/config.json: 2 problems\n"
            "  up_block_types: expected one per level of block_out_channels (4), found 1\n"
            "  layers_per_block: expected one per level of block_out_channels (4), found 3");
  EXPECT_EQ(error_of({{"attention_head_dim", {8, 8, 8, 7}}, {"norm_num_groups", 64}}),
            "unet/config.json: attention_head_dim: expected a divisor of the 1280 "
            "block_out_channels, found 7");
  EXPECT_EQ(error_of({{"norm_num_groups", 300}, {"conv_in_kernel", 4}}),
            "unet/config.json: 4 problems\n"
            "  norm_num_groups: expected a divisor of the 320 block_out_channels, found 300\n"
            "  norm_num_groups: expected a divisor of the 640 block_out_channels, found 300\n"
            "  norm_num_groups: expected a divisor of the 1280 block_out_channels, found 300\n"
            "  conv_in_kernel: expected odd, found 4");
  EXPECT_EQ(error_of({{"block_out_channels", nlohmann::json::array()}}),
            "unet/config.json: block_out_channels: expected at least one level, found []");
}

}  // namespace
}  // namespace crescendo::unet
