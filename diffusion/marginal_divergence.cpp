#include "diffusion/marginal_divergence.h"

#include <cmath>

#include <ATen/Functions.h>

namespace crescendo::diffusion {

namespace {

constexpr double kFewNats = 0.5;  ///< below which the draws see all of 1 / r

/// log p(x) of each row of `points`, but for the constant -log M - D/2 log(2 pi) that all
/// timesteps share.
at::Tensor log_density(const at::Tensor& points, const at::Tensor& data, double alpha) {
  const double variance = 1 - alpha;
  const at::Tensor means = std::sqrt(alpha) * data;
  // |x - m|^2 by products: [draws, M] without [draws, M, D].
  const at::Tensor squares = points.square().sum(1, true) + means.square().sum(1).unsqueeze(0) -
                             2 * at::matmul(points, means.t());
  const double dimensions = static_cast<double>(data.size(1));
  return at::logsumexp(-squares.clamp_min(0) / (2 * variance), 1) -
         dimensions / 2 * std::log(variance);
}

}  // namespace

Estimate marginal_divergence(const NoiseSchedule& schedule, const at::Tensor& data, std::int64_t t,
                             const at::Tensor& chosen, const at::Tensor& noise) {
  const double before = schedule.alphas_cumprod()[static_cast<std::size_t>(t - 1)];
  const double after = schedule.alphas_cumprod()[static_cast<std::size_t>(t)];
  const at::Tensor rows = data.flatten(1).to(at::kDouble);
  const at::Tensor points = std::sqrt(before) * rows.index_select(0, chosen) +
                            std::sqrt(1 - before) * noise.to(at::kDouble);
  at::Tensor ratios = log_density(points, rows, before) - log_density(points, rows, after);
  if (ratios.mean().item<double>() < kFewNats) ratios = ratios + at::exp(-ratios) - 1;
  const auto count = static_cast<double>(ratios.numel());
  return {ratios.mean().item<double>(),
          count > 1 ? ratios.std().item<double>() / std::sqrt(count) : 0};
}

}  // namespace crescendo::diffusion
