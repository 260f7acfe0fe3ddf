#include "pipelines/evaluation/numpy_permutation.h"

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

using Order = std::vector<std::int64_t>;

TEST(NumpyPermutationTest, IsThatOfRandomState) {
  NumpyPermutation permutation(2020);  // numpy.random.RandomState(2020)
  EXPECT_EQ(permutation.next(10), (Order{2, 4, 9, 1, 5, 7, 6, 3, 8, 0}));  // .permutation(10)
  EXPECT_EQ(permutation.next(5), (Order{1, 2, 3, 4, 0}));  // .choice(5, 5, replace=False)
  EXPECT_EQ(permutation.next(1), (Order{0}));
}

}  // namespace
}  // namespace crescendo::pipelines
