#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipelines/monitoring/smoothed_value.h"

namespace crescendo::pipelines {

/// A curve of any length in a bounded number of points: each stands for equally many successive
/// values, of which it keeps the extremes and the mean. When there are too many, neighbours become
/// one. A value costs constant time, on average.
class DecimatedSeries {
 public:
  struct Point {
    std::int64_t first_step = 0;
    std::int64_t last_step = 0;
    std::int64_t count = 0;
    double min = 0;
    double max = 0;
    double sum = 0;

    double mean() const { return sum / static_cast<double>(count); }
  };

  /// max_points: even, at least 2.
  explicit DecimatedSeries(std::size_t max_points) : max_points_(max_points) {}

  /// Steps come in ascending order; a value that is not finite is passed over.
  void add(std::int64_t step, double value);

  std::span<const Point> points() const { return points_; }
  double last() const { return last_; }
  double smoothed() const { return smoothed_.value(); }  ///< over the last hundred values or so

 private:
  void merge_neighbours();

  std::size_t max_points_;
  std::int64_t stride_ = 1;  ///< values a point, of all but the last
  std::vector<Point> points_;
  SmoothedValue smoothed_;
  double last_ = 0;
};

}  // namespace crescendo::pipelines
