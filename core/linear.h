#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

namespace crescendo {

/// x weight^T + bias, as at::linear(): x: [..., in], weight: [out, in], bias: [out] or undefined
/// -> [..., out]. In float32 on a CPU its backward pass gives each thread some of the rows of x,
/// if these are many and the weights small: BLAS shares the products of tall and narrow matrices
/// badly. The result does not depend on the number of threads more than that of BLAS.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// The same of a layer.
at::Tensor linear(const torch::nn::Linear& layer, const at::Tensor& x);

/// The sum of rows [..., C] -> [C], as of a bias's gradient, shared by rows in the same way.
at::Tensor sum_of_rows(const at::Tensor& rows);

}  // namespace crescendo
