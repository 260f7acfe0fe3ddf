#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "unet/task_routing.h"

namespace crescendo::unet {

/// What the residual blocks of a U-Net have in common.
struct ResnetOptions {
  std::int64_t emb_channels = 0;     ///< E, width of the time embedding
  std::int64_t groups = 32;          ///< of the group norms
  double eps = 1e-5;                 ///< of the group norms
  double dropout = 0.0;              ///< before the second convolution
  bool scale_shift = false;          ///< the embedding scales and shifts the second norm
  double output_scale_factor = 1.0;  ///< the sum is divided by this
};

/// Residual block with the time embedding between its convolutions (diffusers' ResnetBlock2D):
/// h = conv1(silu(norm1(x))), then norm2(h + e) or norm2(h) * (1 + scale) + shift, then
/// (shortcut(x) + conv2(dropout(silu(.)))) / output_scale_factor.
class ResnetBlockImpl : public torch::nn::Module {
 public:
  ResnetBlockImpl(std::int64_t in_channels, std::int64_t out_channels,
                  const ResnetOptions& options);

  /// x: [N, in_channels, H, W], activated_emb: [N, E], silu of the embedding, which all blocks
  /// share -> [N, out_channels, H, W]. `routing` masks what norm1 sees.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& activated_emb,
                     const TaskRouting& routing = {});

 private:
  at::Tensor activate_with(const at::Tensor& hidden, const at::Tensor& emb);

  ResnetOptions options_;
  torch::nn::GroupNorm norm1_{nullptr};
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::Linear time_emb_proj_{nullptr};
  torch::nn::GroupNorm norm2_{nullptr};
  torch::nn::Conv2d conv2_{nullptr};
  torch::nn::Conv2d conv_shortcut_{nullptr};  ///< only where the channels change
};
TORCH_MODULE(ResnetBlock);

}  // namespace crescendo::unet
