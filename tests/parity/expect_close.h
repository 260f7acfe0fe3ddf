#pragma once

#include <string>

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <torch/nn/module.h>

#include "core/safetensors.h"
#include "core/tensor_io.h"

namespace crescendo {

constexpr double kParityAtol = 1e-4;  // float32

inline void expect_close(const at::Tensor& found, const at::Tensor& expected,
                         const std::string& what, double tolerance = kParityAtol) {
  ASSERT_TRUE(found.defined()) << what;
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LE((found - expected).abs().max().item<double>(), tolerance) << what;
}

/// Compares the gradient of every parameter with `io`'s "grad.NAME".
inline void expect_close_gradients(const torch::nn::Module& model, const TensorMap& io) {
  for (const auto& parameter : model.named_parameters()) {
    const std::string name = "grad." + parameter.key();
    expect_close(parameter.value().grad(), io.at(name), name);
  }
}

}  // namespace crescendo
