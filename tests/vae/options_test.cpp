#include "vae/options.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace crescendo::vae {
namespace {

std::string error_of(const nlohmann::json& values) {
  try {
    read_autoencoder_kl_options(values, "vae/config.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(OptionsTest, DefaultsAreTheReferences) {
  const AutoencoderKLOptions options =
      read_autoencoder_kl_options(nlohmann::json::object(), "vae/config.json");
  EXPECT_EQ(options.block_out_channels, std::vector<std::int64_t>{64});
  EXPECT_EQ(options.layers_per_block, 1);
  EXPECT_EQ(options.scaling_factor, 0.18215);
  EXPECT_FALSE(options.shift_factor.has_value());
  EXPECT_TRUE(options.use_quant_conv);
  EXPECT_EQ(options.downscale_factor(), 1);
}

TEST(OptionsTest, ReadsAPublishedConfig) {
  const auto options = read_autoencoder_kl_options(nlohmann::json::parse(R"({
      "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
      "block_out_channels": [128, 256, 512, 512],
      "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D",
                           "DownEncoderBlock2D"],
      "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,
      "out_channels": 3, "sample_size": 512, "scaling_factor": 0.18215, "shift_factor": null,
      "latents_mean": null, "latents_std": null,
      "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
                         "UpDecoderBlock2D"]})"),
                                                   "vae/config.json");
  EXPECT_EQ(options.downscale_factor(), 8);
  EXPECT_EQ(options.sample_size, 512);
}

TEST(OptionsTest, NamesAnUnknownKeyAndTheNearest) {
  EXPECT_EQ(error_of({{"latent_chanels", 4}}),
            "vae/config.json: latent_chanels: unknown key; did you mean 'latent_channels'?");
}

TEST(OptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(error_of({{"act_fn", "relu"}}),
            R"(vae/config.json: act_fn: only "silu" is supported, found "relu")");
  EXPECT_EQ(error_of({{"down_block_types", {"AttnDownEncoderBlock2D"}}}),
            "vae/config.json: down_block_types: expected list of DownEncoderBlock2D, found "
            R"("AttnDownEncoderBlock2D")");
}

TEST(OptionsTest, ListsEveryContradiction) {
  const nlohmann::json config = {{"block_out_channels", {16, 33}}, {"norm_num_groups", 16}};
  EXPECT_EQ(error_of(config),
            "vae/config.json: 3 problems\n"
            "  down_block_types: expected one block per level of block_out_channels (2), found 1\n"
            "  up_block_types: expected one block per level of block_out_channels (2), found 1\n"
            "  block_out_channels: expected multiples of norm_num_groups (16), found 33");
  EXPECT_EQ(error_of({{"block_out_channels", nlohmann::json::array()}}),
            "vae/config.json: block_out_channels: expected at least one level, found []");
}

}  // namespace
}  // namespace crescendo::vae
