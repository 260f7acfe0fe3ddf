#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

/// Mean and covariance of features, both float64 on the CPU.
struct Moments {
  at::Tensor mean;        ///< [D]
  at::Tensor covariance;  ///< [D,D]; of N - 1, as numpy.cov
};

/// Moments of features that are seen batch by batch and never held. Two of them merge, so that
/// chunks and ranks can count apart (Chan, Golub and LeVeque 1983, "Algorithms for Computing the
/// Sample Variance").
class FeatureStatistics {
 public:
  /// features: [N,D], of any type and device. Throws UserError for one that is not finite, and for
  /// another D than before.
  void add(const at::Tensor& features);

  void merge(const FeatureStatistics& other);

  std::int64_t count() const { return count_; }

  /// Throws UserError for fewer than two features, which have no covariance.
  Moments moments() const;

 private:
  std::int64_t count_ = 0;
  at::Tensor mean_;     ///< [D]
  at::Tensor scatter_;  ///< [D,D], the sum of (x - mean)(x - mean)^T
};

}  // namespace crescendo::pipelines
