#include "pipelines/evaluation/frechet.h"

#include <tuple>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

/// R, symmetric, with R R = `covariance`, whose eigenvalues below 0 are rounding errors.
at::Tensor root(const at::Tensor& covariance) {
  const auto [values, vectors] = at::linalg_eigh(covariance);
  return at::mm(vectors * values.clamp_min(0).sqrt(), vectors.t());
}

/// tr (S1 S2)^(1/2): the eigenvalues of S1 S2 are the squared singular values of R1 R2. Those are
/// taken themselves, because the root of a squared one that should be 0 makes 1e-8 of 1e-16.
double trace_of_root(const at::Tensor& first, const at::Tensor& second) {
  return at::linalg_svdvals(at::mm(root(first), root(second))).sum().item<double>();
}

}  // namespace

double frechet_distance(const Moments& first, const Moments& second) {
  if (first.mean.sizes() != second.mean.sizes()) {
    throw UserError(
        "frechet distance: expected as many features on both sides, found {} and {}; they are of "
        "two networks",
        first.mean.size(0), second.mean.size(0));
  }
  const auto apart = (first.mean - second.mean).square().sum().item<double>();
  const double traces =
      first.covariance.trace().item<double>() + second.covariance.trace().item<double>();
  return apart + traces - 2 * trace_of_root(first.covariance, second.covariance);
}

}  // namespace crescendo::pipelines
