#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/conv.h>

namespace crescendo {

/// conv(x) for x: [N, C, H, W], plus `added` of the output's shape, if any. In float32 on a CPU,
/// with the channels last where image_format() says so, 1x1 convolutions are linear() of the
/// pixels, and 3x3 ones of stride 1 and padding 1 go through Winograd's minimal filtering
/// (core/winograd_kernel.h) if the channels are multiples of 16; all else through ATen. What a
/// sample becomes by the filtering depends on no other sample of its batch, nor the result on the
/// number of threads.
at::Tensor convolve(torch::nn::Conv2d& conv, const at::Tensor& x, const at::Tensor& added = {});

}  // namespace crescendo
