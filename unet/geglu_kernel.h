#pragma once

#include <cstdint>
#include <span>

namespace crescendo::unet {

/// Rows that hold a and b: [count, 2 width], each plus the bias, [2 width].
struct GegluRows {
  const float* data = nullptr;
  const float* bias = nullptr;
  std::int64_t count = 0;
  std::int64_t width = 0;
};

/// a gelu(b) of rows -> [count, width], and its gradient; GELU by the error function. Written for
/// one instruction set each.
struct GegluKernel {
  void (*forward)(const GegluRows& rows, float* output) = nullptr;

  /// `grad` is of the output: [count, width]. Writes that of the rows: [count, 2 width].
  void (*backward)(const GegluRows& rows, const float* grad, float* grad_rows) = nullptr;
};

/// Those that this CPU can run, the fastest first; none on CPUs other than x86-64 with AVX2.
std::span<const GegluKernel* const> geglu_kernels();

}  // namespace crescendo::unet
