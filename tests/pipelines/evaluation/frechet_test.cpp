#include "pipelines/evaluation/frechet.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "core/random.h"
#include "core/tensor_io.h"

namespace crescendo::pipelines {
namespace {

Moments diagonal(double mean, double variance) {
  return {at::full({4}, mean, at::kDouble), at::eye(4, at::kDouble) * variance};
}

Moments moments_of(const at::Tensor& features) {
  FeatureStatistics statistics;
  statistics.add(features);
  return statistics.moments();
}

TEST(FrechetTest, OfIndependentGaussiansIsTheClosedForm) {
  // Of each of four dimensions (m1 - m2)^2 + (s1 - s2)^2.
  EXPECT_NEAR(frechet_distance(diagonal(1, 9), diagonal(3, 4)), 4 * (4 + 1), 1e-12);
}

TEST(FrechetTest, OfOneDistributionIsZeroWhateverItsRank) {
  const at::Tensor features = random_normal({10, 64}, 1, Purpose::kNoise, 0);  // of rank 9
  EXPECT_NEAR(frechet_distance(moments_of(features), moments_of(features)), 0, 1e-6);
}

TEST(FrechetTest, IsSymmetricAndInvariantToRotation) {
  const at::Tensor first = random_normal({200, 16}, 1, Purpose::kNoise, 0);
  const at::Tensor second = random_normal({200, 16}, 2, Purpose::kNoise, 0) * 2 + 1;
  const at::Tensor rotation =
      std::get<0>(at::linalg_qr(random_normal({16, 16}, 3, Purpose::kNoise, 0).to(at::kDouble)));
  const double distance = frechet_distance(moments_of(first), moments_of(second));
  EXPECT_GT(distance, 16);
  EXPECT_NEAR(frechet_distance(moments_of(second), moments_of(first)), distance, 1e-9);
  const auto rotated = [&](const at::Tensor& x) { return at::mm(x.to(at::kDouble), rotation); };
  EXPECT_NEAR(frechet_distance(moments_of(rotated(first)), moments_of(rotated(second))), distance,
              1e-9);
}

TEST(FrechetTest, RefusesFeaturesOfTwoNetworks) {
  const Moments other{at::zeros({3}, at::kDouble), at::eye(3, at::kDouble)};
  EXPECT_THROW(frechet_distance(diagonal(0, 1), other), UserError);
}

/// frechet_deviation() as its definition has it.
double deviation_of_resamples(const at::Tensor& features, const Moments& reference,
                              std::int64_t resamples, std::uint64_t seed) {
  std::vector<double> distances;
  for (std::int64_t i = 0; i < resamples; ++i) {
    RandomStream stream(seed, Purpose::kSampleOrder, static_cast<std::uint64_t>(i));
    std::vector<std::int64_t> rows;
    for (std::int64_t k = 0; k < features.size(0); ++k) {
      rows.push_back(
          static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(features.size(0)))));
    }
    const at::Tensor drawn = features.index_select(0, at::tensor(rows, at::kLong));
    distances.push_back(frechet_distance(moments_of(drawn), reference));
  }
  return at::tensor(distances, at::kDouble).std().item<double>();
}

TEST(FrechetTest, DeviationIsThatOfTheDistancesOfResamples) {
  for (const std::int64_t count : {8, 60}) {  // fewer and more than features
    const at::Tensor features = random_normal({count, 16}, 1, Purpose::kNoise, 0);
    const Moments reference = moments_of(random_normal({99, 16}, 2, Purpose::kNoise, 0) * 1.5);
    const double expected = deviation_of_resamples(features, reference, 7, 3);
    EXPECT_GT(expected, 0.01);
    EXPECT_NEAR(frechet_deviation(features, reference, 7, 3), expected, 1e-6);
  }
}

}  // namespace
}  // namespace crescendo::pipelines
