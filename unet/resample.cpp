#include "unet/resample.h"

#include <ATen/Functions.h>

#include "core/convolution.h"

namespace crescendo::unet {

DownsampleImpl::DownsampleImpl(std::int64_t channels, std::int64_t padding)
    : pad_below_right_(padding == 0) {
  conv_ = register_module(
      "conv", torch::nn::Conv2d(
                  torch::nn::Conv2dOptions(channels, channels, 3).stride(2).padding(padding)));
}

at::Tensor DownsampleImpl::forward(const at::Tensor& x) {
  return conv_(pad_below_right_ ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x);
}

UpsampleImpl::UpsampleImpl(std::int64_t channels) {
  conv_ = register_module(
      "conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 3).padding(1)));
}

at::Tensor UpsampleImpl::forward(const at::Tensor& x) {
  return convolve(conv_, at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}));
}

}  // namespace crescendo::unet
