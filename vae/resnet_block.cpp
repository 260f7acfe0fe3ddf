#include "vae/resnet_block.h"

#include "core/convolution.h"
#include "core/group_norm.h"

namespace crescendo::vae {

torch::nn::Conv2dOptions same_conv(std::int64_t in_channels, std::int64_t out_channels) {
  return torch::nn::Conv2dOptions(in_channels, out_channels, 3).padding(1);
}

torch::nn::GroupNormOptions norm_of(std::int64_t groups, std::int64_t channels) {
  return torch::nn::GroupNormOptions(groups, channels).eps(kNormEps);
}

ResnetBlockImpl::ResnetBlockImpl(std::int64_t in_channels, std::int64_t out_channels,
                                 std::int64_t groups) {
  norm1_ = register_module("norm1", torch::nn::GroupNorm(norm_of(groups, in_channels)));
  conv1_ = register_module("conv1", torch::nn::Conv2d(same_conv(in_channels, out_channels)));
  norm2_ = register_module("norm2", torch::nn::GroupNorm(norm_of(groups, out_channels)));
  conv2_ = register_module("conv2", torch::nn::Conv2d(same_conv(out_channels, out_channels)));
  if (in_channels != out_channels) {
    conv_shortcut_ = register_module(
        "conv_shortcut", torch::nn::Conv2d(torch::nn::Conv2dOptions(in_channels, out_channels, 1)));
  }
}

at::Tensor ResnetBlockImpl::forward(const at::Tensor& x) {
  const at::Tensor hidden = convolve(conv1_, group_norm_silu(norm1_, x));
  const at::Tensor skipped = conv_shortcut_ ? convolve(conv_shortcut_, x) : x;
  return convolve(conv2_, group_norm_silu(norm2_, hidden), skipped);
}

}  // namespace crescendo::vae
