#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace crescendo::unet {

/// Part of a model: a function of `inputs` and of weights it knows.
using Layer = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// layer(inputs). With `recompute` (activation checkpointing: Chen et al., arXiv 1604.06174) what
/// is inside is not kept for the backward pass, which runs the layer again instead, with the same
/// dropout and autocast; what `layer` holds by reference must live until then. Either way the
/// gradient of an input is summed inside the layer first, so that the two give the same bits.
at::Tensor run_layer(bool recompute, const Layer& layer, const std::vector<at::Tensor>& inputs);

}  // namespace crescendo::unet
