#include "pipelines/evaluation/inception_score.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"

namespace crescendo::pipelines {
namespace {

TEST(InceptionScoreTest, OfSureAndEvenClassesIsTheirNumber) {
  const at::Tensor logits = at::eye(4).repeat({5, 1}) * 1000;  // p is 0 or 1, exactly
  const auto score = inception_score(logits, 1);
  EXPECT_NEAR(score.mean, 4, 1e-12);
  EXPECT_EQ(score.std, 0);
}

TEST(InceptionScoreTest, OfImagesThatAllLookAlikeIsOne) {
  EXPECT_NEAR(inception_score(at::tensor({0.1F, 2.0F, -1.0F}).repeat({30, 1}), 10).mean, 1, 1e-12);
}

TEST(InceptionScoreTest, RefusesFewerImagesThanSplits) {
  EXPECT_THROW(inception_score(at::zeros({9, 3}), 10), UserError);
}

}  // namespace
}  // namespace crescendo::pipelines
