#include "pipelines/evaluation/precision_recall.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "core/tensor_io.h"

namespace crescendo::pipelines {
namespace {

at::Tensor on_a_line(std::vector<float> places) { return at::tensor(places).view({-1, 1}); }

TEST(PrecisionRecallTest, CountWhatLiesWithinTheOthersBalls) {
  // With k = 1 the reference reaches from -1 to 2 and from 9 to 12; what is generated, from -0.5
  // to 1.5 and from 95 to 205.
  const auto result = precision_recall(on_a_line({0.0F, 0.5F, 100.0F, 105.0F}),
                                       on_a_line({0.0F, 1.0F, 10.0F, 11.0F}), 1);
  EXPECT_EQ(result.precision, 0.5);
  EXPECT_EQ(result.recall, 0.5);
}

TEST(PrecisionRecallTest, OfOneSetAreOne) {
  const at::Tensor features = random_normal({1500, 4}, 1, Purpose::kNoise, 0);  // two blocks
  const auto result = precision_recall(features, features);
  EXPECT_EQ(result.precision, 1);
  EXPECT_EQ(result.recall, 1);
}

TEST(PrecisionRecallTest, OfOneModeAreFullPrecisionAndHalfRecall) {
  const at::Tensor mode = random_normal({400, 2}, 1, Purpose::kNoise, 0);
  const auto result = precision_recall(mode, at::cat({mode, mode + 1000}));
  EXPECT_EQ(result.precision, 1);
  EXPECT_EQ(result.recall, 0.5);
}

TEST(PrecisionRecallTest, RefuseFewerImagesThanNeighbours) {
  EXPECT_THROW(precision_recall(at::zeros({3, 2}), at::zeros({10, 2})), UserError);
}

}  // namespace
}  // namespace crescendo::pipelines
