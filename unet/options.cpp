#include "unet/options.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/error.h"

namespace crescendo::unet {

namespace {

using Problems = std::vector<std::string>;

void check_lengths(const UNet2DConditionOptions& o, Problems& problems) {
  const auto expect = [&](const char* key, std::size_t found) {
    if (found == o.levels()) return;
    problems.push_back(fmt::format(
        "{}: expected one per level of block_out_channels ({}), found {}", key, o.levels(), found));
  };
  const auto expect_per_level = [&](const char* key, const PerLevel& value) {
    if (value.values.size() != 1) expect(key, value.values.size());
  };
  expect("down_block_types", o.down_block_types.size());
  expect("up_block_types", o.up_block_types.size());
  expect_per_level("layers_per_block", o.layers_per_block);
  expect_per_level("cross_attention_dim", o.cross_attention_dim);
  expect_per_level("transformer_layers_per_block", o.transformer_layers_per_block);
  expect_per_level("attention_head_dim", o.attention_head_dim);
}

/// Lists of equal length are taken for granted here.
void check_divisibility(const UNet2DConditionOptions& o, Problems& problems) {
  const auto expect_divides = [&](const char* key, std::int64_t divisor, std::int64_t channels) {
    if (channels % divisor == 0) return;
    const std::string problem = fmt::format(
        "{}: expected a divisor of the {} block_out_channels, found {}", key, channels, divisor);
    if (std::find(problems.begin(), problems.end(), problem) == problems.end()) {
      problems.push_back(problem);
    }
  };
  const std::size_t last = o.levels() - 1;
  for (std::size_t i = 0; i <= last; ++i) {
    expect_divides("norm_num_groups", o.norm_num_groups, o.block_out_channels[i]);
    if (attention_kind(o.down_block_types[i]) != AttentionKind::kNone) {
      expect_divides("attention_head_dim", o.attention_head_dim.at(i), o.block_out_channels[i]);
    }
    const AttentionKind up = attention_kind(o.up_block_types[i]);
    if (up == AttentionKind::kNone) continue;
    // The reference counts head widths of AttnUpBlock2D from the wrong end.
    const std::size_t level = up == AttentionKind::kSelf ? i : last - i;
    expect_divides("attention_head_dim", o.attention_head_dim.at(level),
                   o.block_out_channels[last - i]);
  }
  if (o.mid_block_type && attention_kind(*o.mid_block_type) == AttentionKind::kCross) {
    expect_divides("attention_head_dim", o.attention_head_dim.at(last), o.block_out_channels[last]);
  }
}

/// null, false, or a list of them for the levels.
bool is_off(const nlohmann::json& value) {
  if (value.is_array()) return std::all_of(value.begin(), value.end(), is_off);
  return value.is_null() || value == false;
}

/// Without what says in other words that a feature is off, or "silu" by its other name.
nlohmann::json without_synonyms(nlohmann::json values) {
  if (!values.is_object()) return values;
  for (const FixedKey& key : unet_rules().fixed) {
    const auto found = values.find(key.name);
    if (found != values.end() && is_off(key.value) && is_off(*found)) values.erase(found);
  }
  if (values.value("act_fn", nlohmann::json()) == "swish") values.erase("act_fn");
  return values;
}

}  // namespace

AttentionKind attention_kind(const std::string& block_type) {
  if (block_type.find("CrossAttn") != std::string::npos) return AttentionKind::kCross;
  return block_type.starts_with("Attn") ? AttentionKind::kSelf : AttentionKind::kNone;
}

bool UNet2DConditionOptions::has_cross_attention() const {
  const auto is_cross = [](const std::string& type) {
    return attention_kind(type) == AttentionKind::kCross;
  };
  return std::any_of(down_block_types.begin(), down_block_types.end(), is_cross) ||
         std::any_of(up_block_types.begin(), up_block_types.end(), is_cross) ||
         (mid_block_type && is_cross(*mid_block_type));
}

std::vector<Field> fields(UNet2DConditionOptions& o) {
  return {
      {"sample_size", &o.sample_size, "side of the training latents, in positions", 1},
      {"in_channels", &o.in_channels, "channels of the sample", 1},
      {"out_channels", &o.out_channels, "channels of the prediction", 1},
      {"center_input_sample", &o.center_input_sample, "map a sample in [0, 1] to [-1, 1] first"},
      {"flip_sin_to_cos", &o.flip_sin_to_cos, "cosines before sines in the time embedding"},
      {"freq_shift", &o.freq_shift, "shift of the time embedding's lowest frequency", 0, 1},
      {.name = "down_block_types",
       .value = &o.down_block_types,
       .doc = "blocks on the way down, one per level",
       .choices = {"DownBlock2D", "AttnDownBlock2D", "CrossAttnDownBlock2D"}},
      {.name = "mid_block_type",
       .value = &o.mid_block_type,
       .doc = "block at the coarsest level; null for none",
       .choices = {"UNetMidBlock2D", "UNetMidBlock2DCrossAttn"}},
      {.name = "up_block_types",
       .value = &o.up_block_types,
       .doc = "blocks on the way up, one per level, coarsest first",
       .choices = {"UpBlock2D", "AttnUpBlock2D", "CrossAttnUpBlock2D"}},
      {"block_out_channels", &o.block_out_channels, "channels per level", 1},
      {"layers_per_block", &o.layers_per_block, "residual blocks per level; one more going up", 1},
      {"downsample_padding", &o.downsample_padding, "1: on all sides; 0: below and right only", 0,
       1},
      {"mid_block_scale_factor", &o.mid_block_scale_factor,
       "the middle's residual blocks divide their output by this", 1e-6},
      {"dropout", &o.dropout, "share of activations dropped in residual blocks", 0, 1},
      {"norm_num_groups", &o.norm_num_groups, "groups of every group norm", 1},
      {"norm_eps", &o.norm_eps, "epsilon of the group norms", 0},
      {"cross_attention_dim", &o.cross_attention_dim, "width of encoder_hidden_states", 1},
      {"transformer_layers_per_block", &o.transformer_layers_per_block,
       "transformer blocks per attention of a cross-attention block", 1},
      {"attention_head_dim", &o.attention_head_dim,
       "heads in cross-attention blocks, width of one head in AttnDownBlock2D and AttnUpBlock2D",
       1},
      {"use_linear_projection", &o.use_linear_projection,
       "store the projections around transformers as linear layers, not 1x1 convolutions"},
      {"num_class_embeds", &o.num_class_embeds, "classes; null for no class conditioning", 1},
      {"upcast_attention", &o.upcast_attention, "kept for other readers; attention is exact here"},
      {.name = "resnet_time_scale_shift",
       .value = &o.resnet_time_scale_shift,
       .doc = "how the time embedding enters: added, or as scale and shift of the second norm",
       .choices = {"default", "scale_shift"}},
      {"conv_in_kernel", &o.conv_in_kernel, "side of the first convolution, odd", 1},
      {"conv_out_kernel", &o.conv_out_kernel, "side of the last convolution, odd", 1},
      {"dtr_alpha", &o.dtr_alpha,
       "denoising task routing (arXiv 2310.07138): how late with the noise the channels change, 4 "
       "is usual; null is off",
       1e-6},
      {"dtr_beta", &o.dtr_beta, "share of the channels that a branch sees at a timestep", 0.01, 1},
      {"dtr_timesteps", &o.dtr_timesteps, "of task routing: diffusion.num_train_timesteps", 1},
  };
}

ModelConfigRules unet_rules() {
  return {.fixed = {{"act_fn", "silu"},
                    {"only_cross_attention", false},
                    {"reverse_transformer_layers_per_block", nullptr},
                    {"encoder_hid_dim", nullptr},
                    {"encoder_hid_dim_type", nullptr},
                    {"num_attention_heads", nullptr},
                    {"dual_cross_attention", false},
                    {"class_embed_type", nullptr},
                    {"addition_embed_type", nullptr},
                    {"addition_time_embed_dim", nullptr},
                    {"resnet_skip_time_act", false},
                    {"resnet_out_scale_factor", 1.0},
                    {"time_embedding_type", "positional"},
                    {"time_embedding_dim", nullptr},
                    {"time_embedding_act_fn", nullptr},
                    {"timestep_post_act", nullptr},
                    {"time_cond_proj_dim", nullptr},
                    {"projection_class_embeddings_input_dim", nullptr},
                    {"attention_type", "default"},
                    {"class_embeddings_concat", false},
                    {"mid_block_only_cross_attention", nullptr},
                    {"cross_attention_norm", nullptr},
                    {"addition_embed_type_num_heads", 64}}};
}

nlohmann::ordered_json unet_config(UNet2DConditionOptions options) {
  nlohmann::ordered_json config = model_config_to_json(kClassName, fields(options), unet_rules());
  if (options.dtr_alpha) return config;
  for (const char* key : {"dtr_alpha", "dtr_beta", "dtr_timesteps"}) config.erase(key);
  return config;
}

void check(const UNet2DConditionOptions& options, const std::string& where) {
  if (options.levels() == 0) {
    throw UserError("{}: block_out_channels: expected at least one level, found []", where);
  }
  Problems problems;
  check_lengths(options, problems);
  if (problems.empty()) check_divisibility(options, problems);
  if (const std::int64_t first = options.block_out_channels[0]; first % 2 != 0 || first < 4) {
    problems.push_back(fmt::format(
        "block_out_channels: expected an even number of at least 4 at the first level, whose "
        "time embedding is half sines, half cosines; found {}",
        first));
  }
  const auto expect_odd = [&](const char* key, std::int64_t side) {
    if (side % 2 == 0) problems.push_back(fmt::format("{}: expected odd, found {}", key, side));
  };
  expect_odd("conv_in_kernel", options.conv_in_kernel);
  expect_odd("conv_out_kernel", options.conv_out_kernel);
  if (problems.empty()) return;
  if (problems.size() == 1) throw UserError("{}: {}", where, problems[0]);
  throw UserError("{}: {} problems\n  {}", where, problems.size(), fmt::join(problems, "\n  "));
}

UNet2DConditionOptions read_unet_options(const nlohmann::json& values, const std::string& where) {
  UNet2DConditionOptions options;
  read_model_config(without_synonyms(values), where, fields(options), unet_rules());
  check(options, where);
  return options;
}

}  // namespace crescendo::unet
