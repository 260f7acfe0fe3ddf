#pragma once

#include <ATen/core/Tensor.h>

#include "unet/geglu_kernel.h"

namespace crescendo::unet {

/// a gelu(b) (Shazeer, arXiv 2002.05202, as diffusers' GEGLU): [..., 2C], of which a is the first
/// half -> [..., C]. Float32 on the CPU goes through one kernel, all else through ATen.
at::Tensor geglu(const at::Tensor& halves);

}  // namespace crescendo::unet
