#include "unet/embeddings.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::unet {
namespace {

TEST(TimestepEmbeddingTest, IsSinesThenCosinesOfFallingFrequencies) {
  const at::Tensor emb = timestep_embedding(at::tensor({0, 7}), 4, false, 0);
  const std::vector<double> angles{7.0, 7.0 * std::pow(10000.0, -0.5)};
  EXPECT_TRUE(at::allclose(emb[0], at::tensor({0.0F, 0.0F, 1.0F, 1.0F})));
  for (std::int64_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(emb[1][i].item<double>(), std::sin(angles[static_cast<std::size_t>(i)]), 1e-6);
    EXPECT_NEAR(emb[1][i + 2].item<double>(), std::cos(angles[static_cast<std::size_t>(i)]), 1e-6);
  }
}

TEST(TimestepEmbeddingTest, FlipPutsCosinesFirst) {
  const at::Tensor timesteps = at::tensor({3.5, 999.0});
  const at::Tensor plain = timestep_embedding(timesteps, 8, false, 0);
  const at::Tensor flipped = timestep_embedding(timesteps, 8, true, 0);
  EXPECT_TRUE(at::equal(flipped, at::cat({plain.slice(1, 4), plain.slice(1, 0, 4)}, 1)));
  EXPECT_EQ(flipped.scalar_type(), at::kFloat);
}

TEST(TimestepEmbeddingTest, ShiftOfOneEndsAtOneOverTenThousand) {
  const at::Tensor emb = timestep_embedding(at::tensor({10000.0}), 8, false, 1);
  EXPECT_NEAR(emb[0][3].item<double>(), std::sin(1.0), 1e-5);
}

}  // namespace
}  // namespace crescendo::unet
