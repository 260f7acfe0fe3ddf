#include "pipelines/evaluation/kernel_distance.h"

#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "pipelines/evaluation/numpy_permutation.h"

namespace crescendo::pipelines {

namespace {

at::Tensor kernel(const at::Tensor& x, const at::Tensor& y) {
  return (at::mm(x, y.t()) / static_cast<double>(x.size(1)) + 1).pow(3);
}

/// The mean of the kernel over pairs of different elements of [m,D].
at::Tensor mean_of_pairs(const at::Tensor& x) {
  const at::Tensor values = kernel(x, x);
  const auto m = static_cast<double>(x.size(0));
  return (values.sum() - values.trace()) / (m * (m - 1));
}

at::Tensor choose(const at::Tensor& features, std::int64_t count, NumpyPermutation& permutation) {
  std::vector<std::int64_t> rows = permutation.next(features.size(0));
  rows.resize(static_cast<std::size_t>(count));
  return features.index_select(0, at::tensor(rows, at::kLong).to(features.device()))
      .to(at::kDouble);
}

}  // namespace

KernelDistance kernel_distance(const at::Tensor& generated, const at::Tensor& reference,
                               const KernelDistanceOptions& options) {
  if (options.subsets < 1 || options.subset_size < 2) {
    throw UserError("kid: expected at least 1 subset of 2 images, found {} of {}", options.subsets,
                    options.subset_size);
  }
  if (generated.size(0) < options.subset_size || reference.size(0) < options.subset_size) {
    throw UserError(
        "kid: expected at least {} images on both sides, the size of a subset, found {} and {}; "
        "take more images, or smaller subsets (--kid-subset-size)",
        options.subset_size, generated.size(0), reference.size(0));
  }
  if (generated.size(1) != reference.size(1)) {
    throw UserError("kid: expected as many features on both sides, found {} and {}",
                    generated.size(1), reference.size(1));
  }
  NumpyPermutation permutation(options.seed);
  std::vector<at::Tensor> distances;
  for (std::int64_t i = 0; i < options.subsets; ++i) {
    const at::Tensor x = choose(generated, options.subset_size, permutation);
    const at::Tensor y = choose(reference, options.subset_size, permutation);
    distances.push_back(mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean());
  }
  const at::Tensor all = at::stack(distances);
  return {all.mean().item<double>(), all.std(/*unbiased=*/false).item<double>()};
}

}  // namespace crescendo::pipelines
