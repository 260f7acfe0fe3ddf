#include "unet/resnet_block.h"

#include <ATen/Functions.h>

#include "core/convolution.h"
#include "core/group_norm.h"

namespace crescendo::unet {

ResnetBlockImpl::ResnetBlockImpl(std::int64_t in_channels, std::int64_t out_channels,
                                 const ResnetOptions& options)
    : options_(options) {
  const auto norm = [&](std::int64_t channels) {
    return torch::nn::GroupNorm(
        torch::nn::GroupNormOptions(options.groups, channels).eps(options.eps));
  };
  const auto conv = [&](std::int64_t in, std::int64_t side) {
    return torch::nn::Conv2d(
        torch::nn::Conv2dOptions(in, out_channels, side).padding((side - 1) / 2));
  };
  norm1_ = register_module("norm1", norm(in_channels));
  conv1_ = register_module("conv1", conv(in_channels, 3));
  time_emb_proj_ = register_module(
      "time_emb_proj",
      torch::nn::Linear(options.emb_channels, (options.scale_shift ? 2 : 1) * out_channels));
  norm2_ = register_module("norm2", norm(out_channels));
  conv2_ = register_module("conv2", conv(out_channels, 3));
  if (in_channels != out_channels) {
    conv_shortcut_ = register_module("conv_shortcut", conv(in_channels, 1));
  }
}

at::Tensor ResnetBlockImpl::activate_with(const at::Tensor& hidden, const at::Tensor& emb) {
  if (!options_.scale_shift) return group_norm_silu(norm2_, hidden, emb);
  const std::vector<at::Tensor> scale_and_shift = emb.unsqueeze(-1).unsqueeze(-1).chunk(2, 1);
  return at::silu(
      at::addcmul(scale_and_shift[1], group_norm(norm2_, hidden), scale_and_shift[0] + 1.0));
}

at::Tensor ResnetBlockImpl::forward(const at::Tensor& x, const at::Tensor& activated_emb,
                                    const TaskRouting& routing) {
  const at::Tensor hidden = convolve(conv1_, group_norm_silu(norm1_, routing(x)));
  at::Tensor residual = activate_with(hidden, time_emb_proj_(activated_emb));
  if (options_.dropout > 0.0) residual = at::dropout(residual, options_.dropout, is_training());
  const at::Tensor skipped = conv_shortcut_ ? convolve(conv_shortcut_, x) : x;
  const at::Tensor sum = convolve(conv2_, residual, skipped);
  return options_.output_scale_factor == 1.0 ? sum : sum / options_.output_scale_factor;
}

}  // namespace crescendo::unet
