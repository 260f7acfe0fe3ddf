#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace crescendo::vae {

/// Epsilon of every group norm of the autoencoder, fixed by the reference.
inline constexpr double kNormEps = 1e-6;

/// Pre-activation residual block: x + conv2(silu(norm2(conv1(silu(norm1(x)))))), with a 1x1
/// convolution of x where the channels change. diffusers' ResnetBlock2D without a time embedding.
class ResnetBlockImpl : public torch::nn::Module {
 public:
  ResnetBlockImpl(std::int64_t in_channels, std::int64_t out_channels, std::int64_t groups);

  /// x: [N, in_channels, H, W] -> [N, out_channels, H, W].
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::GroupNorm norm1_{nullptr};
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::GroupNorm norm2_{nullptr};
  torch::nn::Conv2d conv2_{nullptr};
  torch::nn::Conv2d conv_shortcut_{nullptr};  ///< only where the channels change
};
TORCH_MODULE(ResnetBlock);

/// Options of the 3x3 convolution that keeps the resolution.
torch::nn::Conv2dOptions same_conv(std::int64_t in_channels, std::int64_t out_channels);

/// Options of the group norm with this model's epsilon.
torch::nn::GroupNormOptions norm_of(std::int64_t groups, std::int64_t channels);

}  // namespace crescendo::vae
