#include "vae/tiny_options.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "vae/options.h"

namespace crescendo::vae {

std::vector<Field> fields(AutoencoderTinyOptions& o) {
  return {
      {"in_channels", &o.in_channels, "channels of the image that is encoded", 1},
      {"out_channels", &o.out_channels, "channels of the image that is decoded", 1},
      {"encoder_block_out_channels", &o.encoder_block_out_channels,
       "channels per level of the encoder, finest first", 1},
      {"decoder_block_out_channels", &o.decoder_block_out_channels,
       "channels per level of the decoder, coarsest first", 1},
      {"latent_channels", &o.latent_channels, "channels of the latents", 1},
      {"num_encoder_blocks", &o.num_encoder_blocks, "residual blocks per level of the encoder", 0},
      {"num_decoder_blocks", &o.num_decoder_blocks, "residual blocks per level of the decoder", 0},
      {"latent_magnitude", &o.latent_magnitude, "latents in bytes reach from minus to plus this"},
      {"latent_shift", &o.latent_shift, "what a latent of 0 is in bytes, as a share of 255"},
      {"force_upcast", &o.force_upcast, "run in float32 even where a pipeline runs in float16"},
      {"scaling_factor", &o.scaling_factor, "latents are multiplied by this: 1 / their deviation"},
      {"shift_factor", &o.shift_factor, "subtracted from latents before they are scaled"},
  };
}

ModelConfigRules autoencoder_tiny_rules() {
  return {
      .fixed = {{"act_fn", "relu"}, {"upsample_fn", "nearest"}, {"upsampling_scaling_factor", 2}},
      .ignored = {"block_out_channels"}};
}

void check(const AutoencoderTinyOptions& options, const std::string& where) {
  std::vector<std::string> problems;
  const auto check_levels = [&](const char* key, const std::vector<std::int64_t>& channels,
                                std::size_t levels) {
    if (channels.size() != levels) {
      problems.push_back(fmt::format("{}: expected one width per level ({}), found {}", key, levels,
                                     channels.size()));
    } else if (std::ranges::adjacent_find(channels, std::not_equal_to()) != channels.end()) {
      problems.push_back(fmt::format("{}: expected the same width at all levels, found [{}]", key,
                                     fmt::join(channels, ", ")));
    }
  };
  const std::size_t levels = options.num_encoder_blocks.size();
  if (levels == 0)
    problems.emplace_back("num_encoder_blocks: expected at least one level, found []");
  if (options.num_decoder_blocks.size() != levels) {
    problems.push_back(
        fmt::format("num_decoder_blocks: expected as many levels as num_encoder_blocks ({}), found "
                    "{}",
                    levels, options.num_decoder_blocks.size()));
  }
  check_levels("encoder_block_out_channels", options.encoder_block_out_channels, levels);
  check_levels("decoder_block_out_channels", options.decoder_block_out_channels,
               options.num_decoder_blocks.size());
  throw_problems(problems, where);
}

AutoencoderTinyOptions read_autoencoder_tiny_options(const nlohmann::json& values,
                                                     const std::string& where) {
  AutoencoderTinyOptions options;
  read_model_config(values, where, fields(options), autoencoder_tiny_rules());
  check(options, where);
  return options;
}

}  // namespace crescendo::vae
