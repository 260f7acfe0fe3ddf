#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace crescendo::pipelines {

/// The permutations that numpy.random.RandomState(seed) draws, one after the other: the reference
/// tools choose subsets and splits by them, and their numbers depend on which.
class NumpyPermutation {
 public:
  /// 2020 is torch-fidelity's seed.
  explicit NumpyPermutation(std::uint32_t seed = 2020) : generator_(seed) {}

  /// Of 0 to n - 1; the first k of it are also RandomState.choice(n, k, replace=False).
  /// 1 <= n <= 2^32.
  std::vector<std::int64_t> next(std::int64_t n);

 private:
  std::mt19937 generator_;  ///< seeded by one number as NumPy seeds it
};

}  // namespace crescendo::pipelines
