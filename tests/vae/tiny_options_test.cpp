#include "vae/tiny_options.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::vae {
namespace {

std::string error_of(const nlohmann::json& values) {
  return error_text([&] { read_autoencoder_tiny_options(values, "vae/config.json"); });
}

TEST(TinyOptionsTest, ReadsThePublishedConfig) {
  const auto options = read_autoencoder_tiny_options(nlohmann::json::parse(R"({
      "_class_name": "AutoencoderTiny", "_diffusers_version": "0.20.0.dev0", "act_fn": "relu",
      "block_out_channels": [64, 64, 64, 64], "decoder_block_out_channels": [64, 64, 64, 64],
      "encoder_block_out_channels": [64, 64, 64, 64], "force_upcast": false, "in_channels": 3,
      "latent_channels": 4, "latent_magnitude": 3, "latent_shift": 0.5,
      "num_decoder_blocks": [3, 3, 3, 1], "num_encoder_blocks": [1, 3, 3, 3], "out_channels": 3,
      "scaling_factor": 1.0, "upsampling_scaling_factor": 2})"),
                                                     "vae/config.json");
  EXPECT_EQ(options.downscale_factor(), 8);
  EXPECT_EQ(options.latent_magnitude, 3);
  EXPECT_EQ(options.shift_factor, 0);
}

TEST(TinyOptionsTest, RejectsWhatIsNotSupported) {
  EXPECT_EQ(error_of({{"act_fn", "gelu"}}),
            R"(vae/config.json: act_fn: only "relu" is supported, found "gelu")");
  EXPECT_EQ(error_of({{"upsample_fn", "bilinear"}}),
            R"(vae/config.json: upsample_fn: only "nearest" is supported, found "bilinear")");
  EXPECT_EQ(error_of({{"upsampling_scaling_factor", 4}}),
            "vae/config.json: upsampling_scaling_factor: only 2 is supported, found 4");
  EXPECT_EQ(error_of({{"latent_chanels", 4}}),
            "vae/config.json: latent_chanels: unknown key; did you mean 'latent_channels'?");
}

TEST(TinyOptionsTest, ListsEveryContradiction) {
  EXPECT_EQ(
      error_of({{"num_decoder_blocks", {1, 1}}, {"encoder_block_out_channels", {8, 16, 16, 16}}}),
      "vae/config.json: 3 problems\n"
      "  num_decoder_blocks: expected as many levels as num_encoder_blocks (4), found 2\n"
      "  encoder_block_out_channels: expected the same width at all levels, found [8, 16, "
      "16, 16]\n"
      "  decoder_block_out_channels: expected one width per level (2), found 4");
  const nlohmann::json none = nlohmann::json::array();
  EXPECT_EQ(error_of({{"num_encoder_blocks", none},
                      {"num_decoder_blocks", none},
                      {"encoder_block_out_channels", none},
                      {"decoder_block_out_channels", none}}),
            "vae/config.json: num_encoder_blocks: expected at least one level, found []");
}

}  // namespace
}  // namespace crescendo::vae
