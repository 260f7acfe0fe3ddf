#include "vae/diagonal_gaussian.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::vae {
namespace {

TEST(DiagonalGaussianTest, SplitsChannelsAndClampsLogvar) {
  const at::Tensor moments = at::tensor({1.0F, 2.0F, -50.0F, 50.0F}).view({1, 4, 1, 1});
  const DiagonalGaussian posterior = DiagonalGaussian::from_moments(moments);
  EXPECT_TRUE(at::equal(posterior.mean.flatten(), at::tensor({1.0F, 2.0F})));
  EXPECT_TRUE(at::equal(posterior.logvar.flatten(), at::tensor({-30.0F, 20.0F})));
  EXPECT_TRUE(at::equal(posterior.mode(), posterior.mean));
}

TEST(DiagonalGaussianTest, SamplesByReparameterisation) {
  const DiagonalGaussian posterior{at::full({1, 1, 1, 1}, 3.0),
                                   at::full({1, 1, 1, 1}, 2.0 * std::log(0.5))};
  EXPECT_NEAR(posterior.sample(at::full({1, 1, 1, 1}, -2.0)).item<float>(), 2.0F, 1e-6F);
}

TEST(DiagonalGaussianTest, PointIsItsMeanWhateverTheNoise) {
  const at::Tensor mean = at::randn({2, 4, 3, 5});
  const DiagonalGaussian posterior = DiagonalGaussian::point(mean);
  EXPECT_EQ(posterior.logvar.sizes(), mean.sizes());
  EXPECT_TRUE(at::equal(posterior.sample(at::randn_like(mean) * 1e6), mean));
  EXPECT_TRUE(at::equal(posterior.mode(), mean));
}

TEST(DiagonalGaussianTest, KlIsPerSampleAndZeroForTheStandardNormal) {
  at::Tensor mean = at::zeros({2, 3, 2, 2});
  mean[1].fill_(2.0);  // KL of N(2, 1) from N(0, 1) is 2 nats
  const DiagonalGaussian posterior{mean, at::zeros_like(mean)};
  EXPECT_TRUE(at::allclose(posterior.kl(), at::tensor({0.0F, 2.0F * 12})));
  const DiagonalGaussian narrow{at::zeros({1, 1, 1, 1}), at::full({1, 1, 1, 1}, -2.0)};
  EXPECT_NEAR(narrow.kl().item<float>(), 0.5 * (std::exp(-2.0) + 1.0), 1e-6);
}

}  // namespace
}  // namespace crescendo::vae
