#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "unet/attention_kernel.h"

namespace crescendo::unet {

/// multi_head_attention() by our own kernel: on a CPU in float32, where ATen's calls a GEMM for
/// every few rows and sums the gradients of short heads slowly; also of bfloat16 in mixed
/// precision, which is computed in float32 and rounded. The result does not depend on the number
/// of threads. Shapes as there; `bias` is of float32 and gets no gradient.
at::Tensor fused_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           std::int64_t heads, const at::Tensor& bias,
                           const AttentionKernel& kernel);

/// The kernel for such inputs; null where ATen has to do.
const AttentionKernel* kernel_for(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value, const at::Tensor& bias);

}  // namespace crescendo::unet
