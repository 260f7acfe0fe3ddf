#include "pipelines/generation/latent_preview.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/tensor_io.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kPositions = 16;  ///< along each side of the chart
constexpr std::int64_t kKnots = 6;       ///< colours between which it is interpolated
constexpr double kRidge = 1e-3;          ///< of the latents' variance, where channels say the same

/// Every colour passing into every other: [1,3,side,side] in [-1, 1].
at::Tensor color_chart(std::int64_t side) {
  const at::Tensor knots = random_normal({1, 3, kKnots, kKnots}, 0, Purpose::kInitialLatents, 0);
  return at::upsample_bilinear2d(knots.clamp(-1, 1), {side, side}, /*align_corners=*/true);
}

/// [1,C,h,w] -> [h w, C] in float64: a small system wants all its digits.
at::Tensor rows_of(const at::Tensor& map) {
  return map[0].flatten(1).t().to(at::kCPU, at::kDouble);
}

}  // namespace

LatentPreview::LatentPreview(vae::Autoencoder& vae, at::Device device) {
  const c10::NoGradGuard no_grad;
  const std::int64_t factor = vae.downscale_factor();
  const at::Tensor chart = color_chart(kPositions * factor);
  const at::Tensor latents = rows_of(vae.scale(vae.encode(chart.to(device)).mode()));
  const at::Tensor colors = rows_of(at::avg_pool2d(chart, {factor, factor}));
  const at::Tensor mean = latents.mean(0);
  const at::Tensor centered = latents - mean;
  const at::Tensor covariance = centered.t().mm(centered);
  const at::Tensor ridge = at::eye(latents.size(1), covariance.options()) *
                           (kRidge * covariance.trace() / latents.size(1));
  const at::Tensor weights =
      at::linalg_solve(covariance + ridge, centered.t().mm(colors - colors.mean(0)));
  bias_ = (colors.mean(0) - mean.matmul(weights)).to(device, at::kFloat);
  weights_ = weights.to(device, at::kFloat);
}

at::Tensor LatentPreview::colors(const at::Tensor& latents) const {
  const c10::NoGradGuard no_grad;
  return (latents.to(at::kFloat).movedim(1, -1).matmul(weights_) + bias_).movedim(-1, 1);
}

}  // namespace crescendo::pipelines
