#include "vae/diagonal_gaussian.h"

#include <limits>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace crescendo::vae {

DiagonalGaussian DiagonalGaussian::from_moments(const at::Tensor& moments) {
  const std::vector<at::Tensor> halves = moments.chunk(2, 1);
  return {halves[0], at::clamp(halves[1], -30.0, 20.0)};
}

DiagonalGaussian DiagonalGaussian::point(const at::Tensor& mean) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  return {mean, at::full({}, kNone, mean.options()).expand_as(mean)};
}

at::Tensor DiagonalGaussian::sample(const at::Tensor& noise) const {
  return mean + at::exp(0.5 * logvar) * noise;
}

at::Tensor DiagonalGaussian::kl() const {
  return 0.5 * at::sum(mean.square() + at::exp(logvar) - 1.0 - logvar, {1, 2, 3});
}

}  // namespace crescendo::vae
