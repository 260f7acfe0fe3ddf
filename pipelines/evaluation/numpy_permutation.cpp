#include "pipelines/evaluation/numpy_permutation.h"

#include <bit>
#include <cstddef>
#include <numeric>
#include <utility>

namespace crescendo::pipelines {

std::vector<std::int64_t> NumpyPermutation::next(std::int64_t n) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  // Fisher-Yates from the end, each index drawn by masking bits and rejecting what is too large.
  for (std::size_t i = order.size() - 1; i > 0; --i) {
    const std::uint64_t mask = std::bit_ceil(i + 1) - 1;
    std::uint64_t j = generator_() & mask;
    while (j > i) j = generator_() & mask;
    std::swap(order[i], order[j]);
  }
  return order;
}

}  // namespace crescendo::pipelines
