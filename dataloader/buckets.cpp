#include "dataloader/buckets.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

double aspect_ratio(Size size) {
  return static_cast<double>(size.width) / static_cast<double>(size.height);
}

/// The greatest multiple of `step` that is at most `value`.
std::int64_t round_down(std::int64_t value, std::int64_t step) { return value / step * step; }

}  // namespace

std::vector<Size> bucket_sizes(const DataOptions& options) {
  const std::int64_t resolution = options.resolution;
  if (!options.enable_bucket) return {{resolution, resolution}};
  const std::int64_t step = options.bucket_reso_steps;
  const std::int64_t shortest = options.min_bucket_reso.value_or(resolution / 2);
  const std::int64_t longest = options.max_bucket_reso.value_or(resolution * 2);
  if (resolution % step != 0) {
    throw UserError(
        "data.bucket_reso_steps: expected a divisor of data.resolution, {}, so that there is a "
        "square bucket; found {}",
        resolution, step);
  }
  if (shortest > resolution || longest < resolution) {
    throw UserError(
        "data.min_bucket_reso, max_bucket_reso: expected data.resolution, {}, between them; found "
        "{} and {}",
        resolution, shortest, longest);
  }
  std::set<std::pair<std::int64_t, std::int64_t>> sides;
  for (std::int64_t side = round_down(shortest + step - 1, step); side <= longest; side += step) {
    const std::int64_t other = round_down(std::min(longest, resolution * resolution / side), step);
    if (other < shortest || other == 0) continue;
    sides.insert({side, other});
    sides.insert({other, side});
  }
  std::vector<Size> sizes;
  for (const auto& [width, height] : sides) sizes.push_back({width, height});
  std::ranges::stable_sort(sizes, {}, aspect_ratio);
  return sizes;
}

Size nearest_bucket(Size image, std::span<const Size> buckets) {
  const double ratio = aspect_ratio(image);
  // Quotients order as logarithms' differences do, and are the same on every machine.
  return *std::ranges::min_element(buckets, {}, [ratio](Size bucket) {
    return std::max(aspect_ratio(bucket) / ratio, ratio / aspect_ratio(bucket));
  });
}

Size covering_size(Size image, Size bucket) {
  if (bucket.width * image.height >= bucket.height * image.width) {
    return {bucket.width, bucket.width * image.height / image.width};
  }
  return {bucket.height * image.width / image.height, bucket.height};
}

}  // namespace crescendo::dataloader
