#include "vae/options.h"

#include <fmt/format.h>

#include "core/error.h"

namespace crescendo::vae {

std::vector<Field> fields(AutoencoderKLOptions& o) {
  return {
      {"in_channels", &o.in_channels, "channels of the image that is encoded", 1},
      {"out_channels", &o.out_channels, "channels of the image that is decoded", 1},
      {.name = "down_block_types",
       .value = &o.down_block_types,
       .doc = "blocks of the encoder, one per level",
       .choices = {"DownEncoderBlock2D"}},
      {.name = "up_block_types",
       .value = &o.up_block_types,
       .doc = "blocks of the decoder, one per level",
       .choices = {"UpDecoderBlock2D"}},
      {"block_out_channels", &o.block_out_channels, "channels per level, finest first", 1},
      {"layers_per_block", &o.layers_per_block, "residual blocks per level of the encoder", 1},
      {"latent_channels", &o.latent_channels, "channels of the latents", 1},
      {"norm_num_groups", &o.norm_num_groups, "groups of every group norm", 1},
      {"sample_size", &o.sample_size, "side of the training images, in pixels", 1},
      {"scaling_factor", &o.scaling_factor, "latents are multiplied by this: 1 / their deviation"},
      {"shift_factor", &o.shift_factor, "subtracted from latents before they are scaled"},
      {"force_upcast", &o.force_upcast, "run in float32 even where a pipeline runs in float16"},
      {"use_quant_conv", &o.use_quant_conv, "1x1 convolution after the encoder"},
      {"use_post_quant_conv", &o.use_post_quant_conv, "1x1 convolution before the decoder"},
      {"mid_block_add_attention", &o.mid_block_add_attention,
       "self-attention at the coarsest level"},
  };
}

ModelConfigRules autoencoder_kl_rules() {
  return {.fixed = {{"act_fn", "silu"}, {"latents_mean", nullptr}, {"latents_std", nullptr}}};
}

void check(const AutoencoderKLOptions& options, const std::string& where) {
  const std::size_t levels = options.block_out_channels.size();
  if (levels == 0) {
    throw UserError("{}: block_out_channels: expected at least one level, found []", where);
  }
  std::vector<std::string> problems;
  const auto check_length = [&](const char* key, std::size_t length) {
    if (length == levels) return;
    problems.push_back(
        fmt::format("{}: expected one block per level of block_out_channels ({}), "
                    "found {}",
                    key, levels, length));
  };
  check_length("down_block_types", options.down_block_types.size());
  check_length("up_block_types", options.up_block_types.size());
  for (const std::int64_t channels : options.block_out_channels) {
    if (channels % options.norm_num_groups == 0) continue;
    problems.push_back(
        fmt::format("block_out_channels: expected multiples of norm_num_groups ({}), "
                    "found {}",
                    options.norm_num_groups, channels));
  }
  throw_problems(problems, where);
}

void throw_problems(const std::vector<std::string>& problems, const std::string& where) {
  if (problems.empty()) return;
  if (problems.size() == 1) throw UserError("{}: {}", where, problems[0]);
  throw UserError("{}: {} problems\n  {}", where, problems.size(), fmt::join(problems, "\n  "));
}

AutoencoderKLOptions read_autoencoder_kl_options(const nlohmann::json& values,
                                                 const std::string& where) {
  AutoencoderKLOptions options;
  read_model_config(values, where, fields(options), autoencoder_kl_rules());
  check(options, where);
  return options;
}

}  // namespace crescendo::vae
