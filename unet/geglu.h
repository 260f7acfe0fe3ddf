#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

#include "unet/geglu_kernel.h"

namespace crescendo::unet {

/// a gelu(b) (Shazeer, arXiv 2002.05202, as diffusers' GEGLU) of what the layer projects to:
/// x: [..., in] -> [..., 2C], of which a is the first half -> [..., C]. In float32 on the CPU one
/// kernel also adds the layer's bias; all else goes through ATen.
at::Tensor geglu(const torch::nn::Linear& projection, const at::Tensor& x);

}  // namespace crescendo::unet
