#include "pipelines/evaluation/feature_statistics.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

/// Which of `features`, [N,D], counted on from `before`, is the first with a value that is not
/// finite.
std::int64_t first_nonfinite(const at::Tensor& features, std::int64_t before) {
  return before + at::isfinite(features).all(1).logical_not().nonzero()[0].item<std::int64_t>();
}

}  // namespace

void FeatureStatistics::add(const at::Tensor& features) {
  if (features.dim() != 2) {
    throw UserError("features: expected [N,D], found {} dimensions", features.dim());
  }
  if (features.size(0) == 0) return;
  if (!at::isfinite(features).all().item<bool>()) {
    throw UserError(
        "features: those of image {} (counted from 0) are not finite; expected numbers. The "
        "network's weights or the image are at fault",
        first_nonfinite(features, count_));
  }
  const at::Tensor values = features.to(at::kCPU, at::kDouble);
  FeatureStatistics batch;
  batch.count_ = values.size(0);
  batch.mean_ = values.mean(0);
  const at::Tensor centered = values - batch.mean_;
  batch.scatter_ = at::mm(centered.t(), centered);
  merge(batch);
}

void FeatureStatistics::merge(const FeatureStatistics& other) {
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  if (mean_.size(0) != other.mean_.size(0)) {
    throw UserError("features: expected {} of each image, found {}; they are of two networks",
                    mean_.size(0), other.mean_.size(0));
  }
  const auto mine = static_cast<double>(count_);
  const auto theirs = static_cast<double>(other.count_);
  const at::Tensor apart = other.mean_ - mean_;
  // Not in place: a copy of this shares its tensors.
  mean_ = mean_ + apart * (theirs / (mine + theirs));
  scatter_ =
      scatter_ + other.scatter_ + at::outer(apart, apart) * (mine * theirs / (mine + theirs));
  count_ += other.count_;
}

Moments FeatureStatistics::moments() const {
  if (count_ < 2) {
    throw UserError("features: expected at least two images, found {}; one has no covariance",
                    count_);
  }
  return {mean_, scatter_ / static_cast<double>(count_ - 1)};
}

}  // namespace crescendo::pipelines
