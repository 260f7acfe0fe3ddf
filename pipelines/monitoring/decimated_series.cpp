#include "pipelines/monitoring/decimated_series.h"

#include <algorithm>
#include <cmath>

namespace crescendo::pipelines {

void DecimatedSeries::add(std::int64_t step, double value) {
  if (!std::isfinite(value)) return;
  last_ = value;
  smoothed_.add(value);
  if (points_.empty() || points_.back().count == stride_) {
    if (points_.size() == max_points_) merge_neighbours();
    points_.push_back({step, step, 0, value, value, 0});
  }
  Point& point = points_.back();
  point.last_step = step;
  point.count += 1;
  point.min = std::min(point.min, value);
  point.max = std::max(point.max, value);
  point.sum += value;
}

void DecimatedSeries::merge_neighbours() {
  for (std::size_t i = 0; i < points_.size() / 2; ++i) {
    const Point& left = points_[2 * i];
    const Point& right = points_[2 * i + 1];
    points_[i] = {left.first_step,
                  right.last_step,
                  left.count + right.count,
                  std::min(left.min, right.min),
                  std::max(left.max, right.max),
                  left.sum + right.sum};
  }
  points_.resize(points_.size() / 2);
  stride_ *= 2;
}

}  // namespace crescendo::pipelines
