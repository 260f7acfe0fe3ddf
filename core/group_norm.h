#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/normalization.h>

namespace crescendo {

/// silu(norm(x + shift)). x: [N, C, H, W]; shift: [N, C], or undefined for none. With the channels
/// last where image_format() says so, it goes through one kernel, bfloat16 by way of float32; all
/// else through ATen.
at::Tensor group_norm_silu(torch::nn::GroupNorm& norm, const at::Tensor& x,
                           const at::Tensor& shift = {});

/// norm(x), by the same rule.
at::Tensor group_norm(torch::nn::GroupNorm& norm, const at::Tensor& x);

}  // namespace crescendo
