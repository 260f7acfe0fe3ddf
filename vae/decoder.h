#pragma once

#include <vector>

#include "vae/blocks.h"
#include "vae/options.h"

namespace crescendo::vae {

/// Latents, after post_quant_conv, to an image.
class DecoderImpl : public torch::nn::Module {
 public:
  explicit DecoderImpl(const AutoencoderKLOptions& options);

  /// latents: [N, latent_channels, h, w] -> [N, out_channels, h*f, w*f].
  at::Tensor forward(const at::Tensor& latents);

  /// Weight of the last convolution, [out_channels, block_out_channels[0], 3, 3].
  const at::Tensor& last_weight() const { return conv_out_->weight; }

 private:
  torch::nn::Conv2d conv_in_{nullptr};
  MidBlock mid_block_{nullptr};
  std::vector<UpDecoderBlock> up_blocks_;
  torch::nn::GroupNorm conv_norm_out_{nullptr};
  torch::nn::Conv2d conv_out_{nullptr};
};
TORCH_MODULE(Decoder);

}  // namespace crescendo::vae
