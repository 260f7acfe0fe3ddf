#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

struct KernelDistanceOptions {
  std::int64_t subsets = 100;
  std::int64_t subset_size = 1000;
  std::uint32_t seed = 2020;  ///< of the subsets, which are then torch-fidelity's
};

struct KernelDistance {
  double mean = 0;  ///< over the subsets; about 0, and below it too, for equal distributions
  double std = 0;   ///< over the subsets, of N
};

/// The unbiased squared maximum mean discrepancy under the kernel (x.y / D + 1)^3 (KID; Binkowski
/// et al. 2018, Eq. 4) of subsets. generated: [N,D], reference: [M,D], on one device. Throws
/// UserError where either has fewer than subset_size.
KernelDistance kernel_distance(const at::Tensor& generated, const at::Tensor& reference,
                               const KernelDistanceOptions& options = {});

}  // namespace crescendo::pipelines
