#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::vae {

/// The keys of an AutoencoderKL's config.json (diffusers 0.42), with its defaults. Levels run from
/// the image's resolution to the latents', halving it at each step.
struct AutoencoderKLOptions {
  std::int64_t in_channels = 3;
  std::int64_t out_channels = 3;
  std::vector<std::string> down_block_types{"DownEncoderBlock2D"};
  std::vector<std::string> up_block_types{"UpDecoderBlock2D"};
  std::vector<std::int64_t> block_out_channels{64};
  std::int64_t layers_per_block = 1;
  std::int64_t latent_channels = 4;
  std::int64_t norm_num_groups = 32;
  std::int64_t sample_size = 32;
  double scaling_factor = 0.18215;
  std::optional<double> shift_factor;
  bool force_upcast = true;
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;
  bool mid_block_add_attention = true;

  /// Pixels of the image to one of the latents, along each side.
  std::int64_t downscale_factor() const {
    return std::int64_t{1} << (block_out_channels.size() - 1);
  }
};

std::vector<Field> fields(AutoencoderKLOptions& options);

/// The keys of the reference for which only its default is supported.
ModelConfigRules autoencoder_kl_rules();

/// Throws one UserError, beginning with `where`, that lists every contradiction between fields.
void check(const AutoencoderKLOptions& options, const std::string& where);

/// Throws one UserError that lists them, when there are any.
void throw_problems(const std::vector<std::string>& problems, const std::string& where);

/// Reads and checks the keys of a config.json, or of a run config's [vae] table. `where` names the
/// place in errors.
AutoencoderKLOptions read_autoencoder_kl_options(const nlohmann::json& values,
                                                 const std::string& where);

}  // namespace crescendo::vae
