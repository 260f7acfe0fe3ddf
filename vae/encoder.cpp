#include "vae/encoder.h"

#include "core/group_norm.h"
#include "core/image_format.h"
#include "core/module_list.h"

namespace crescendo::vae {

EncoderImpl::EncoderImpl(const AutoencoderKLOptions& options) {
  const auto& channels = options.block_out_channels;
  const std::int64_t groups = options.norm_num_groups;
  conv_in_ =
      register_module("conv_in", torch::nn::Conv2d(same_conv(options.in_channels, channels[0])));
  for (std::size_t level = 0; level < channels.size(); ++level) {
    down_blocks_.emplace_back(LevelOptions{.in_channels = channels[level == 0 ? 0 : level - 1],
                                           .out_channels = channels[level],
                                           .layers = options.layers_per_block,
                                           .groups = groups,
                                           .resample = level + 1 < channels.size()});
  }
  register_list(*this, "down_blocks", down_blocks_);
  mid_block_ = register_module("mid_block",
                               MidBlock(channels.back(), groups, options.mid_block_add_attention));
  conv_norm_out_ =
      register_module("conv_norm_out", torch::nn::GroupNorm(norm_of(groups, channels.back())));
  conv_out_ = register_module(
      "conv_out", torch::nn::Conv2d(same_conv(channels.back(), 2 * options.latent_channels)));
}

at::Tensor EncoderImpl::forward(const at::Tensor& image) {
  at::Tensor hidden = conv_in_(image.contiguous(image_format(image.options())));
  for (DownEncoderBlock& block : down_blocks_) hidden = block(hidden);
  return conv_out_(group_norm_silu(conv_norm_out_, mid_block_(hidden))).contiguous();
}

}  // namespace crescendo::vae
