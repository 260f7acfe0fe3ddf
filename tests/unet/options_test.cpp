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

TEST(OptionsTest, ReadsAPublishedConfig) {
  const auto options = read_unet_options(nlohmann::json::parse(R"({
      "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.8.0", "act_fn": "silu",
      "attention_head_dim": [5, 10, 20, 20], "block_out_channels": [320, 640, 1280, 1280],
      "center_input_sample": false, "cross_attention_dim": 1024,
      "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                           "DownBlock2D"],
      "downsample_padding": 1, "dual_cross_attention": false, "flip_sin_to_cos": true,
      "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
      "norm_eps": 1e-05, "norm_num_groups": 32, "num_class_embeds": null,
      "only_cross_attention": false, "out_channels": 4, "sample_size": 96,
      "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                         "CrossAttnUpBlock2D"],
      "use_linear_projection": true, "upcast_attention": true})"),
                                         "unet/config.json");
  EXPECT_EQ(options.attention_head_dim.at(2), 20);
  EXPECT_EQ(options.sample_size, 96);
  EXPECT_TRUE(options.use_linear_projection);
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
