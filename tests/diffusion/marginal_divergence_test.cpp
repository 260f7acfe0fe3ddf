#include "diffusion/marginal_divergence.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/Context.h>
#include <ATen/Functions.h>

namespace crescendo::diffusion {
namespace {

/// Of one point the marginals are normals, whose divergence has a closed form.
double closed_form(const NoiseSchedule& schedule, const at::Tensor& point, std::int64_t t) {
  const double a = schedule.alphas_cumprod()[static_cast<std::size_t>(t - 1)];
  const double b = schedule.alphas_cumprod()[static_cast<std::size_t>(t)];
  const auto dimensions = static_cast<double>(point.numel());
  const double shift = std::pow(std::sqrt(a) - std::sqrt(b), 2) *
                       point.to(at::kDouble).square().sum().item<double>();
  return 0.5 *
         (dimensions * (std::log((1 - b) / (1 - a)) + (1 - a) / (1 - b) - 1) + shift / (1 - b));
}

Estimate estimate(const NoiseSchedule& schedule, const at::Tensor& data, std::int64_t t,
                  std::int64_t draws = 4000, std::int64_t seed = 0) {
  at::manual_seed(seed);
  const at::Tensor chosen = at::randint(data.size(0), {draws}, at::kLong);
  return marginal_divergence(schedule, data, t, chosen,
                             at::randn({draws, data.numel() / data.size(0)}));
}

TEST(MarginalDivergenceTest, OfOnePointIsThatOfTwoNormals) {
  const NoiseSchedule schedule{DiffusionOptions{}};
  const at::Tensor point = at::sin(at::arange(48, at::kFloat)).view({1, 3, 4, 4});
  for (const std::int64_t t : {1, 10, 500}) {
    const Estimate found = estimate(schedule, point, t);
    EXPECT_GT(found.standard_error, 0);
    EXPECT_NEAR(found.mean, closed_form(schedule, point, t), 4 * found.standard_error) << t;
  }
}

TEST(MarginalDivergenceTest, OfPointsFarApartIsThatOfOne) {
  const NoiseSchedule schedule{DiffusionOptions{}};
  // With little noise no component of the mixture reaches another's.
  const at::Tensor points = at::cat({at::ones({1, 8}), -at::ones({1, 8})});
  const Estimate found = estimate(schedule, points, 5);
  EXPECT_NEAR(found.mean, closed_form(schedule, at::ones({1, 8}), 5), 4 * found.standard_error);
}

TEST(MarginalDivergenceTest, IsPreciseWhereItIsSmall) {
  const NoiseSchedule schedule{DiffusionOptions{}};
  const at::Tensor point = at::sin(at::arange(48, at::kFloat)).view({1, 48});
  const Estimate found = estimate(schedule, point, 900, 500);
  EXPECT_GT(found.mean, 0);
  EXPECT_LT(found.standard_error, 0.2 * found.mean);
  EXPECT_NEAR(found.mean, closed_form(schedule, point, 900), 4 * found.standard_error);
}

TEST(MarginalDivergenceTest, FallsWithNoise) {
  const NoiseSchedule schedule{DiffusionOptions{}};
  const at::Tensor points = at::sin(at::arange(64, at::kFloat)).view({8, 8});
  EXPECT_GT(estimate(schedule, points, 20).mean, estimate(schedule, points, 600).mean);
}

}  // namespace
}  // namespace crescendo::diffusion
