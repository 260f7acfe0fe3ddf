#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

struct PrecisionRecall {
  double precision = 0;  ///< share of what is generated that lies within the reference's manifold
  double recall = 0;     ///< share of the reference that lies within the generated one's
};

/// Improved precision and recall (Kynkaanniemi et al. 2019): a manifold is the union of balls about
/// its features that reach their k-th nearest neighbours. generated: [N,D], reference: [M,D], on
/// one device; N, M > k. Distances are worked out for some rows at a time. Throws UserError for
/// fewer features.
PrecisionRecall precision_recall(const at::Tensor& generated, const at::Tensor& reference,
                                 std::int64_t k = 3);

}  // namespace crescendo::pipelines
