#include "pipelines/evaluation/feature_statistics.h"

#include <limits>

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "core/tensor_io.h"
#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

at::Tensor some_features(std::int64_t count) {
  return random_normal({count, 5}, 3, Purpose::kNoise, 0) + 100;
}

TEST(FeatureStatisticsTest, AreMeanAndCovarianceOfNMinusOne) {
  FeatureStatistics statistics;
  statistics.add(at::tensor({1.0, 2.0, 3.0, 6.0}).view({2, 2}));
  const Moments moments = statistics.moments();
  EXPECT_TRUE(at::equal(moments.mean, at::tensor({2.0, 4.0}, at::kDouble)));
  EXPECT_TRUE(
      at::equal(moments.covariance, at::tensor({2.0, 4.0, 4.0, 8.0}, at::kDouble).view({2, 2})));
}

TEST(FeatureStatisticsTest, PartsMergeToTheWhole) {
  const at::Tensor features = some_features(100);
  FeatureStatistics whole;
  whole.add(features);
  FeatureStatistics first;
  for (const at::Tensor& batch : features.slice(0, 0, 37).split(10)) first.add(batch);
  FeatureStatistics second;
  second.add(features.slice(0, 37));
  FeatureStatistics merged;
  merged.merge(first);
  merged.merge(second);
  merged.merge(FeatureStatistics());
  EXPECT_EQ(merged.count(), 100);
  EXPECT_TRUE(at::allclose(merged.moments().mean, whole.moments().mean, 1e-14, 1e-13));
  EXPECT_TRUE(at::allclose(merged.moments().covariance, whole.moments().covariance, 1e-12, 1e-13));
  EXPECT_EQ(first.count(), 37) << "a merge changed what it took";
}

TEST(FeatureStatisticsTest, NameTheImageWithoutFiniteFeatures) {
  at::Tensor features = some_features(8);
  features[6][2] = std::numeric_limits<float>::quiet_NaN();
  FeatureStatistics statistics;
  statistics.add(some_features(8));
  EXPECT_NE(error_text([&] { statistics.add(features); }).find("image 14"), std::string::npos);
  EXPECT_EQ(statistics.count(), 8);
}

TEST(FeatureStatisticsTest, OfOneImageOrTwoNetworksAreRefused) {
  FeatureStatistics statistics;
  statistics.add(some_features(1));
  EXPECT_NE(error_text([&] { statistics.moments(); }).find("at least two images"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              statistics.add(at::zeros({4, 6}));
            }).find("expected 5 of each image, found 6"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
