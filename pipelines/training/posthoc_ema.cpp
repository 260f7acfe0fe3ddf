#include "pipelines/training/posthoc_ema.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <ATen/Functions.h>

namespace crescendo::pipelines {

namespace {

double sigma_rel_of(double gamma) {
  return std::sqrt((gamma + 1) / ((gamma + 2) * (gamma + 2) * (gamma + 3)));
}

}  // namespace

double power_of(double sigma_rel) {
  // sigma_rel falls as gamma grows from 0, and is below 1 / gamma.
  double low = 0;
  double high = 2 / sigma_rel;
  for (int halving = 0; halving < 200; ++halving) {
    const double middle = (low + high) / 2;
    (sigma_rel_of(middle) > sigma_rel ? low : high) = middle;
  }
  return (low + high) / 2;
}

double power_decay_at(double gamma, std::int64_t update) {
  return std::pow(1 - 1 / static_cast<double>(update), gamma + 1);
}

double overlap(const PowerProfile& a, const PowerProfile& b) {
  // Powers of ratios, since those of the times themselves overflow.
  const double shorter = std::min(a.updates, b.updates);
  const double longer = std::max(a.updates, b.updates);
  return (a.gamma + 1) * (b.gamma + 1) / (a.gamma + b.gamma + 1) / longer *
         std::pow(shorter / a.updates, a.gamma) * std::pow(shorter / b.updates, b.gamma);
}

std::vector<double> combine(std::span<const PowerProfile> snapshots, const PowerProfile& wanted) {
  const auto count = static_cast<std::int64_t>(snapshots.size());
  at::Tensor products = at::empty({count, count}, at::kDouble);
  at::Tensor targets = at::empty({count}, at::kDouble);
  auto product = products.accessor<double, 2>();
  auto target = targets.accessor<double, 1>();
  for (std::int64_t i = 0; i < count; ++i) {
    const PowerProfile& one = snapshots[static_cast<std::size_t>(i)];
    target[i] = overlap(one, wanted);
    for (std::int64_t j = 0; j < count; ++j) {
      product[i][j] = overlap(one, snapshots[static_cast<std::size_t>(j)]);
    }
  }
  // By singular values, since snapshots may coincide: steps in between were all skipped.
  const at::Tensor factors =
      std::get<0>(at::linalg_lstsq(products, targets.unsqueeze(1), std::nullopt, "gelsd"))
          .contiguous();
  const double* begin = factors.const_data_ptr<double>();
  return {begin, begin + count};
}

}  // namespace crescendo::pipelines
