#pragma once

#include <vector>

#include "vae/blocks.h"
#include "vae/options.h"

namespace crescendo::vae {

/// Image to the moments of its latents, before quant_conv.
class EncoderImpl : public torch::nn::Module {
 public:
  explicit EncoderImpl(const AutoencoderKLOptions& options);

  /// image: [N, in_channels, H, W] -> [N, 2 * latent_channels, H/f, W/f].
  at::Tensor forward(const at::Tensor& image);

 private:
  torch::nn::Conv2d conv_in_{nullptr};
  std::vector<DownEncoderBlock> down_blocks_;
  MidBlock mid_block_{nullptr};
  torch::nn::GroupNorm conv_norm_out_{nullptr};
  torch::nn::Conv2d conv_out_{nullptr};
};
TORCH_MODULE(Encoder);

}  // namespace crescendo::vae
