#include "diffusion/quantiles.h"

#include <cstddef>
#include <vector>

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/special_ndtri.h>
#include <ATen/ops/tensor.h>

namespace crescendo::diffusion {

at::Tensor shares_of(std::span<const std::int64_t> places) {
  std::vector<double> shares;
  for (const std::int64_t place : places) {
    shares.push_back((static_cast<double>(place) + 0.5) / static_cast<double>(kPlaces));
  }
  return at::tensor(shares, at::kDouble);
}

at::Tensor normal_quantile(const at::Tensor& shares) { return at::special_ndtri(shares); }

double normal_quantile(double share) {
  return at::special_ndtri(at::scalar_tensor(share, at::kDouble)).item<double>();
}

at::Tensor of_levels(const at::Tensor& levels, const std::function<double(double)>& f) {
  const at::Tensor given = levels.to(at::kCPU, at::kDouble).contiguous();
  const auto* data = given.const_data_ptr<double>();
  std::vector<double> values;
  for (std::int64_t i = 0; i < given.numel(); ++i) values.push_back(f(data[i]));
  return at::tensor(values, at::kDouble);
}

at::Tensor factors(const at::Tensor& levels, const at::Tensor& like,
                   const std::function<double(double)>& f) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[0] = levels.size(0);
  return of_levels(levels, f).to(like.options()).view(shape);
}

}  // namespace crescendo::diffusion
