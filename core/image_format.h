#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/MemoryFormat.h>
#include <torch/nn/module.h>

namespace crescendo {

/// How images [N, C, H, W], and the weights of their convolutions, are best laid out in memory:
/// channels last on a CPU that has a kernel for their group normalisation (core/group_norm.h),
/// where oneDNN convolves them faster and the rows of an attention are views; ATen's normalisation
/// would undo the gain. Elsewhere contiguous.
at::MemoryFormat image_format(const at::TensorOptions& options);

/// Whether x is images that are laid out so, with the channels last: those that kernels of ours
/// take.
bool suits_kernels(const at::Tensor& x);

/// Whether x is float32 on a CPU, which is what most kernels of ours take.
bool is_float32_on_cpu(const at::Tensor& x);

/// Moves a module that draws, with the weights of its convolutions laid out as above, which they
/// else are for each call; but for those in float32, which convolve() takes as they are, so that a
/// mapped file is copied nowhere. A module in training stays contiguous: LibTorch's fused
/// optimizers copy a gradient to be so, and go through the weights' memory as if it were, too.
void move_to(torch::nn::Module& module, at::Device device);

}  // namespace crescendo
