#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace crescendo::unet {

/// A row of floats for each position: element d of row i is data[i * stride + d].
struct Rows {
  const float* data = nullptr;
  std::int64_t stride = 0;
  std::int64_t count = 0;
};

/// One head of one sample: softmax(scale q k^T + bias) v.
struct AttentionHead {
  Rows query, key, value;
  const float* bias = nullptr;  ///< [key.count], or none
  std::int64_t width = 0;       ///< of a row
  float scale = 1;
};

/// What the weights of a query's keys are made from: e^score / 2^largest / sum. Kept apart, since
/// the logarithm of the sum would drown in a bias of -10000.
struct SoftmaxParts {
  float* largest = nullptr;      ///< [query.count], the largest score times log2(e)
  float* inverse_sum = nullptr;  ///< [query.count]
};

/// What the backward pass knows beyond the head.
struct AttentionGradient {
  Rows grad;             ///< of the output, by query
  Rows output;           ///< of forward()
  SoftmaxParts softmax;  ///< of forward()
};

/// Where it writes: rows `stride` apart.
struct HeadGradients {
  float* query = nullptr;
  float* key = nullptr;
  float* value = nullptr;
  std::int64_t stride = 0;
};

/// Attention in float32, exact, in one pass over the keys for some queries at a time: these are the
/// lanes of the vectors, so no row is summed across lanes and any width of a head does. `scratch`
/// holds scratch_floats(head) floats, aligned to 64 bytes. Written for one instruction set each.
struct AttentionKernel {
  std::int64_t lanes = 0;

  std::size_t (*scratch_floats)(const AttentionHead& head) = nullptr;

  /// Writes `lanes` rows of the output from `first` on, `stride` apart, and the parts of their
  /// softmax.
  void (*forward)(const AttentionHead& head, std::int64_t first, float* output, std::int64_t stride,
                  const SoftmaxParts& softmax, float* scratch) = nullptr;

  /// Of all queries, keys and values.
  void (*backward)(const AttentionHead& head, const AttentionGradient& gradient,
                   const HeadGradients& to, float* scratch) = nullptr;
};

/// Those that this CPU can run, the fastest first; none on CPUs other than x86-64 with AVX2.
std::span<const AttentionKernel* const> attention_kernels();

}  // namespace crescendo::unet
