#include "pipelines/monitoring/smoothed_value.h"

#include <cmath>

namespace crescendo::pipelines {

void SmoothedValue::add(double value) {
  if (!std::isfinite(value)) return;
  sum_ = decay_ * sum_ + (1 - decay_) * value;
  weight_ = decay_ * weight_ + (1 - decay_);
}

}  // namespace crescendo::pipelines
