#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/conv.h>

namespace crescendo {

/// conv(x) for x: [N, C, H, W]. In float32 on a CPU, with the channels last where image_format()
/// says so, large enough 3x3 convolutions of stride 1 and padding 1 go through Winograd's minimal
/// filtering (core/winograd_kernel.h); all else through ATen. What a sample becomes depends on no
/// other sample of its batch, but in training (conv->is_training()), where the choice counts the
/// batch.
at::Tensor convolve(torch::nn::Conv2d& conv, const at::Tensor& x);

}  // namespace crescendo
