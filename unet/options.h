#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::unet {

/// The name of the class in config.json, which messages begin with.
inline constexpr const char* kClassName = "UNet2DConditionModel";

/// The attention of a block's layers, told by the name of its type.
enum class AttentionKind {
  kNone,   ///< DownBlock2D, UpBlock2D, UNetMidBlock2D
  kSelf,   ///< AttnDownBlock2D, AttnUpBlock2D: among the positions of the image
  kCross,  ///< CrossAttnDownBlock2D, ...: among them and from them to the conditioning
};

AttentionKind attention_kind(const std::string& block_type);

/// The keys of a UNet2DConditionModel's config.json (diffusers 0.42), with its defaults. Levels run
/// from the latents' resolution down, halving it at each step; lists are in that order, except
/// up_block_types, which begins at the coarsest.
struct UNet2DConditionOptions {
  std::optional<std::int64_t> sample_size;
  std::int64_t in_channels = 4;
  std::int64_t out_channels = 4;
  bool center_input_sample = false;
  bool flip_sin_to_cos = true;
  std::int64_t freq_shift = 0;
  std::vector<std::string> down_block_types{"CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
                                            "CrossAttnDownBlock2D", "DownBlock2D"};
  std::optional<std::string> mid_block_type = "UNetMidBlock2DCrossAttn";
  std::vector<std::string> up_block_types{"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
                                          "CrossAttnUpBlock2D"};
  std::vector<std::int64_t> block_out_channels{320, 640, 1280, 1280};
  PerLevel layers_per_block{{2}};
  std::int64_t downsample_padding = 1;
  double mid_block_scale_factor = 1.0;
  double dropout = 0.0;
  std::int64_t norm_num_groups = 32;
  double norm_eps = 1e-5;
  PerLevel cross_attention_dim{{1280}};
  PerLevel transformer_layers_per_block{{1}};

  /// A historic misnomer that every published config relies on: where there is cross-attention this
  /// is the NUMBER of heads; in AttnDownBlock2D and AttnUpBlock2D it is the width of one.
  PerLevel attention_head_dim{{8}};
  bool use_linear_projection = false;
  std::optional<std::int64_t> num_class_embeds;

  /// Read and written only: scaled_dot_product_attention chooses its own precision, here as in the
  /// reference.
  bool upcast_attention = false;
  std::string resnet_time_scale_shift = "default";
  std::int64_t conv_in_kernel = 3;
  std::int64_t conv_out_kernel = 3;

  /// Denoising Task Routing (unet/task_routing.h), which the reference does not know; null is off.
  std::optional<double> dtr_alpha;
  double dtr_beta = 0.8;              ///< share of the channels that a branch sees
  std::int64_t dtr_timesteps = 1000;  ///< T of the diffusion it is trained for

  std::size_t levels() const { return block_out_channels.size(); }

  /// H and W must be multiples of this.
  std::int64_t downscale_factor() const { return std::int64_t{1} << (levels() - 1); }

  /// True when some block attends to encoder_hidden_states.
  bool has_cross_attention() const;
};

std::vector<Field> fields(UNet2DConditionOptions& options);

/// The keys of the reference for which only its default is supported.
ModelConfigRules unet_rules();

/// What goes into config.json. The keys of task routing are left out where it is off, so that the
/// file is the reference's.
nlohmann::ordered_json unet_config(UNet2DConditionOptions options);

/// Throws one UserError, beginning with `where`, that lists every contradiction between fields.
void check(const UNet2DConditionOptions& options, const std::string& where);

/// Reads and checks the keys of a config.json, or of a run config's [unet] table. `where` names the
/// place in errors.
UNet2DConditionOptions read_unet_options(const nlohmann::json& values, const std::string& where);

}  // namespace crescendo::unet
