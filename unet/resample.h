#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

namespace crescendo::unet {

/// Stride-2 3x3 convolution: [N, C, H, W] -> [N, C, H/2, W/2]. padding 1: on all sides; 0: one row
/// below and one column to the right.
class DownsampleImpl : public torch::nn::Module {
 public:
  DownsampleImpl(std::int64_t channels, std::int64_t padding);
  at::Tensor forward(const at::Tensor& x);

 private:
  bool pad_below_right_;
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Downsample);

/// Nearest-neighbour doubling and a 3x3 convolution: [N, C, H, W] -> [N, C, 2H, 2W].
class UpsampleImpl : public torch::nn::Module {
 public:
  explicit UpsampleImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Upsample);

}  // namespace crescendo::unet
