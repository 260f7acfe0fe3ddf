#include "pipelines/evaluation/kernel_distance.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "core/tensor_io.h"

namespace crescendo::pipelines {
namespace {

TEST(KernelDistanceTest, OfTwoPointsIsTheClosedForm) {
  // One feature; (xy + 1)^3: pairs of {0, 1}: 1, of {2, 3}: 343, between: (1 + 1 + 27 + 64) / 4.
  const auto distance =
      kernel_distance(at::tensor({0.0F, 1.0F}).view({2, 1}), at::tensor({2.0F, 3.0F}).view({2, 1}),
                      {.subsets = 3, .subset_size = 2});
  EXPECT_NEAR(distance.mean, 1 + 343 - 2 * 93.0 / 4, 1e-12);
  EXPECT_NEAR(distance.std, 0, 1e-12);
}

TEST(KernelDistanceTest, IsAboutZeroForOneDistribution) {
  const KernelDistanceOptions options{.subsets = 50, .subset_size = 100};
  const at::Tensor first = random_normal({400, 8}, 1, Purpose::kNoise, 0);
  const at::Tensor second = random_normal({400, 8}, 2, Purpose::kNoise, 0);
  const auto same = kernel_distance(first, second, options);
  const auto other = kernel_distance(first, second + 1, options);
  EXPECT_LT(std::abs(same.mean), same.std);
  EXPECT_GT(other.mean, 10 * same.std);
}

TEST(KernelDistanceTest, RefusesFewerImagesThanASubset) {
  EXPECT_THROW(kernel_distance(at::zeros({10, 2}), at::zeros({2000, 2})), UserError);
}

}  // namespace
}  // namespace crescendo::pipelines
