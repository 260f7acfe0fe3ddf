#include "pipelines/evaluation/precision_recall.h"

#include <tuple>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kRows = 1024;  ///< times all the others: 200 MB for 50,000 images

/// [N], the distance of each feature from its k-th nearest neighbour.
at::Tensor radii(const at::Tensor& features, std::int64_t k) {
  std::vector<at::Tensor> radii;
  for (const at::Tensor& rows : features.split(kRows)) {
    // The nearest of all is the feature itself.
    radii.push_back(std::get<0>(at::cdist(rows, features).kthvalue(k + 1)));
  }
  return at::cat(radii);
}

/// The share of `candidates` that lies within a ball about one of `centers`.
double share_within(const at::Tensor& candidates, const at::Tensor& centers, std::int64_t k) {
  const at::Tensor reach = radii(centers, k);
  std::int64_t within = 0;
  for (const at::Tensor& rows : candidates.split(kRows)) {
    within += (at::cdist(rows, centers) <= reach).any(1).sum().item<std::int64_t>();
  }
  return static_cast<double>(within) / static_cast<double>(candidates.size(0));
}

}  // namespace

PrecisionRecall precision_recall(const at::Tensor& generated, const at::Tensor& reference,
                                 std::int64_t k) {
  if (k < 1 || generated.size(0) <= k || reference.size(0) <= k) {
    throw UserError(
        "precision and recall: expected more than k = {} images on both sides, found {} and {}", k,
        generated.size(0), reference.size(0));
  }
  if (generated.size(1) != reference.size(1)) {
    throw UserError(
        "precision and recall: expected as many features on both sides, found {} and {}",
        generated.size(1), reference.size(1));
  }
  return {share_within(generated, reference, k), share_within(reference, generated, k)};
}

}  // namespace crescendo::pipelines
