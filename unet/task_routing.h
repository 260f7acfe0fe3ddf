#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "unet/options.h"

namespace crescendo::unet {

/// Denoising Task Routing (Park et al., arXiv 2310.07138): which channels the branches of the
/// blocks see at a timestep. Of C channels, n = floor(C beta) in a row, from round((t / (T -
/// 1))^alpha (C - n)) on, halves to even; the others are 0. So neighbouring timesteps share most
/// channels, and distant ones fewer. What is added to a branch's output is not masked.
///
/// Branches are those of the residual blocks, and the attention after each as a whole.
class TaskRouting {
 public:
  /// Every branch sees every channel.
  TaskRouting() = default;

  /// timesteps: [N], integers or fractions; past T - 1 they count as T - 1. The same where the
  /// options have no dtr_alpha.
  TaskRouting(const UNet2DConditionOptions& options, const at::Tensor& timesteps);

  bool is_on() const { return progress_.defined(); }

  /// x: [N, C, ...] -> x with the channels that its timesteps do not have at 0.
  at::Tensor operator()(const at::Tensor& x) const;

  /// Where the channels of each sample begin: [N], int64.
  at::Tensor first_channels(std::int64_t channels) const;

 private:
  at::Tensor progress_;  ///< (t / (T - 1))^alpha: [N], float64
  double beta_ = 1;
};

}  // namespace crescendo::unet
