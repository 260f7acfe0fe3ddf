#include "pipelines/evaluation/inception_score.h"

#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"
#include "pipelines/evaluation/numpy_permutation.h"

namespace crescendo::pipelines {

InceptionScore inception_score(const at::Tensor& logits, std::int64_t splits, std::uint32_t seed) {
  const std::int64_t count = logits.size(0);
  if (splits < 1 || count < splits) {
    throw UserError("inception score: expected at least as many images as splits, {}, found {}",
                    splits, count);
  }
  const at::Tensor order =
      at::tensor(NumpyPermutation(seed).next(count), at::kLong).to(logits.device());
  const at::Tensor log_p = logits.index_select(0, order).to(at::kDouble).log_softmax(1);
  std::vector<at::Tensor> scores;
  for (std::int64_t i = 0; i < splits; ++i) {
    const at::Tensor part = log_p.slice(0, i * count / splits, (i + 1) * count / splits);
    const at::Tensor p = part.exp();
    const at::Tensor marginal = p.mean(0, /*keepdim=*/true);
    // xlogy: a class that no image has adds 0, not 0 * log 0.
    const at::Tensor entropies = (p * part).sum(1) - at::xlogy(p, marginal).sum(1);
    scores.push_back(entropies.mean().exp());
  }
  const at::Tensor all = at::stack(scores);
  return {all.mean().item<double>(), all.std(/*unbiased=*/false).item<double>()};
}

}  // namespace crescendo::pipelines
