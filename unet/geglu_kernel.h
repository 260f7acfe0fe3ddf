#pragma once

#include <cstdint>
#include <span>

namespace crescendo::unet {

/// a gelu(b) of rows that hold a and b, [rows, 2 width] -> [rows, width], and its gradient; GELU by
/// the error function. Written for one instruction set each.
struct GegluKernel {
  void (*forward)(const float* input, std::int64_t rows, std::int64_t width,
                  float* output) = nullptr;

  /// `grad` is of the output: [rows, width]. Writes the input's: [rows, 2 width].
  void (*backward)(const float* input, const float* grad, std::int64_t rows, std::int64_t width,
                   float* grad_input) = nullptr;
};

/// Those that this CPU can run, the fastest first; none on CPUs other than x86-64 with AVX2.
std::span<const GegluKernel* const> geglu_kernels();

}  // namespace crescendo::unet
