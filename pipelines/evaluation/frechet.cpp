#include "pipelines/evaluation/frechet.h"

#include <tuple>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "core/random.h"

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

/// How often each of n is drawn in n draws, of the resample of that number.
at::Tensor draw_counts(std::int64_t n, std::uint64_t seed, std::int64_t resample) {
  RandomStream stream(seed, Purpose::kSampleOrder, static_cast<std::uint64_t>(resample));
  std::vector<double> counts(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) ++counts[stream.below(static_cast<std::uint64_t>(n))];
  return at::tensor(counts, at::kDouble).unsqueeze(1);
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

double frechet_deviation(const at::Tensor& features, const Moments& reference,
                         std::int64_t resamples, std::uint64_t seed) {
  const at::Tensor x = features.to(at::kCPU, at::kDouble);
  const at::Tensor y = at::mm(x, root(reference.covariance));
  const auto n = static_cast<double>(x.size(0));
  std::vector<double> distances;
  for (std::int64_t i = 0; i < resamples; ++i) {
    const at::Tensor all = draw_counts(x.size(0), seed, i);
    const at::Tensor rows = all.squeeze(1).nonzero().squeeze(1);
    const at::Tensor counts = all.index_select(0, rows);
    const auto centered = [&](const at::Tensor& values, const at::Tensor& mean) {
      return (values.index_select(0, rows) - mean) * (counts / (n - 1)).sqrt();
    };
    const at::Tensor mean = (x * all).sum(0) / n;
    const at::Tensor mixed = centered(y, (y * all).sum(0) / n);
    // tr (S1 S2)^(1/2) is the sum of the singular values of `mixed`.
    const bool tall = mixed.size(0) > mixed.size(1);
    const at::Tensor gram = tall ? at::mm(mixed.t(), mixed) : at::mm(mixed, mixed.t());
    const at::Tensor mixed_trace = at::linalg_eigvalsh(gram).clamp_min(0).sqrt().sum();
    const at::Tensor distance =
        (mean - reference.mean).square().sum() + centered(x, mean).square().sum() - 2 * mixed_trace;
    distances.push_back(distance.item<double>());
  }
  return at::tensor(distances, at::kDouble).std().item<double>();
}

}  // namespace crescendo::pipelines
