#include "vae/decoder.h"

#include "core/group_norm.h"
#include "core/image_format.h"
#include "core/module_list.h"

namespace crescendo::vae {

DecoderImpl::DecoderImpl(const AutoencoderKLOptions& options) {
  const std::vector<std::int64_t> channels(options.block_out_channels.rbegin(),
                                           options.block_out_channels.rend());
  const std::int64_t groups = options.norm_num_groups;
  conv_in_ = register_module("conv_in",
                             torch::nn::Conv2d(same_conv(options.latent_channels, channels[0])));
  mid_block_ =
      register_module("mid_block", MidBlock(channels[0], groups, options.mid_block_add_attention));
  for (std::size_t level = 0; level < channels.size(); ++level) {
    up_blocks_.emplace_back(LevelOptions{.in_channels = channels[level == 0 ? 0 : level - 1],
                                         .out_channels = channels[level],
                                         .layers = options.layers_per_block + 1,
                                         .groups = groups,
                                         .resample = level + 1 < channels.size()});
  }
  register_list(*this, "up_blocks", up_blocks_);
  conv_norm_out_ =
      register_module("conv_norm_out", torch::nn::GroupNorm(norm_of(groups, channels.back())));
  conv_out_ = register_module("conv_out",
                              torch::nn::Conv2d(same_conv(channels.back(), options.out_channels)));
}

at::Tensor DecoderImpl::forward(const at::Tensor& latents) {
  at::Tensor hidden = mid_block_(conv_in_(latents.contiguous(image_format(latents.options()))));
  for (UpDecoderBlock& block : up_blocks_) hidden = block(hidden);
  return conv_out_(group_norm_silu(conv_norm_out_, hidden)).contiguous();
}

}  // namespace crescendo::vae
