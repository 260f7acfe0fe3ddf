#pragma once

#include <cstdint>

namespace crescendo::pipelines {

/// The exponential moving average of a number with decay 1 - 1/horizon, corrected for its beginning
/// at nothing as Adam's moments are (arXiv 1412.6980, section 3): the weighted mean of all values,
/// those of the last `horizon` steps weighing most.
class SmoothedValue {
 public:
  explicit SmoothedValue(double horizon = 100) : decay_(1 - 1 / horizon) {}

  /// A value that is not finite is passed over.
  void add(double value);

  /// 0 before the first value.
  double value() const { return weight_ > 0 ? sum_ / weight_ : 0; }

 private:
  double decay_;
  double sum_ = 0;
  double weight_ = 0;
};

}  // namespace crescendo::pipelines
