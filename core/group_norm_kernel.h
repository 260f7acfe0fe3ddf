#pragma once

#include <cstdint>
#include <span>

namespace crescendo {

/// One sample of an image with the channels last, and how its groups of channels are normalised.
struct GroupNormSample {
  const float* x = nullptr;       ///< [positions, channels]
  const float* shift = nullptr;   ///< [channels], added to x before; or none
  const float* weight = nullptr;  ///< [channels]
  const float* bias = nullptr;    ///< [channels]
  float* mean = nullptr;          ///< [groups]: written by forward(), read by backward()
  float* inverse_std = nullptr;   ///< [groups]: likewise
  std::int64_t positions = 0;
  std::int64_t channels = 0;
  std::int64_t groups = 0;
  double eps = 0;
  bool silu = false;  ///< follows the normalisation

  std::int64_t group_size() const { return channels / groups; }
};

/// Some of the groups.
struct GroupRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// What the backward pass reads and writes, for one sample.
struct GroupNormGradients {
  const float* grad = nullptr;  ///< of the output: [positions, channels]
  float* x = nullptr;           ///< [positions, channels]
  float* shift = nullptr;       ///< [channels], or none
  float* weight = nullptr;      ///< [channels], of this sample alone
  float* bias = nullptr;        ///< [channels], of this sample alone
};

/// Group normalisation of float32, and SiLU after it, in as few passes over memory as can be. The
/// lanes of the vectors are channels, so that what is computed of a channel depends on nothing but
/// its group. `scratch` holds 4 x channels. Written for one instruction set each.
struct GroupNormKernel {
  /// Writes those channels of the output [positions, channels].
  void (*forward)(const GroupNormSample& sample, GroupRange groups, float* output,
                  float* scratch) = nullptr;

  void (*backward)(const GroupNormSample& sample, GroupRange groups,
                   const GroupNormGradients& gradients, float* scratch) = nullptr;
};

/// Those that this CPU can run, the fastest first; none on CPUs other than x86-64 with AVX2.
std::span<const GroupNormKernel* const> group_norm_kernels();

}  // namespace crescendo
