#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::vae {

/// The keys of an AutoencoderTiny's config.json (diffusers 0.42), with its defaults. The encoder's
/// levels run from the image's resolution to the latents', halving it at each step, the decoder's
/// back.
struct AutoencoderTinyOptions {
  std::int64_t in_channels = 3;
  std::int64_t out_channels = 3;
  std::vector<std::int64_t> encoder_block_out_channels{64, 64, 64, 64};
  std::vector<std::int64_t> decoder_block_out_channels{64, 64, 64, 64};
  std::int64_t latent_channels = 4;
  std::vector<std::int64_t> num_encoder_blocks{1, 3, 3, 3};
  std::vector<std::int64_t> num_decoder_blocks{3, 3, 3, 1};
  double latent_magnitude = 3;
  double latent_shift = 0.5;
  bool force_upcast = false;
  double scaling_factor = 1;
  double shift_factor = 0;

  /// Pixels of the image to one of the latents, along each side.
  std::int64_t downscale_factor() const {
    return std::int64_t{1} << (num_encoder_blocks.size() - 1);
  }
};

std::vector<Field> fields(AutoencoderTinyOptions& options);

/// The keys of the reference for which only its default is supported, and the one it derives.
ModelConfigRules autoencoder_tiny_rules();

/// Throws one UserError, beginning with `where`, that lists every contradiction between fields.
void check(const AutoencoderTinyOptions& options, const std::string& where);

/// Reads and checks the keys of a config.json. `where` names the place in errors.
AutoencoderTinyOptions read_autoencoder_tiny_options(const nlohmann::json& values,
                                                     const std::string& where);

}  // namespace crescendo::vae
