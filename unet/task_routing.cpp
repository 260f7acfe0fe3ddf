#include "unet/task_routing.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace crescendo::unet {

namespace {

std::int64_t active_channels(std::int64_t channels, double beta) {
  return static_cast<std::int64_t>(std::floor(static_cast<double>(channels) * beta));
}

}  // namespace

TaskRouting::TaskRouting(const UNet2DConditionOptions& options, const at::Tensor& timesteps) {
  if (!options.dtr_alpha) return;
  const auto last = static_cast<double>(std::max<std::int64_t>(options.dtr_timesteps - 1, 1));
  progress_ = (timesteps.to(at::kDouble) / last).clamp(0, 1).pow(*options.dtr_alpha);
  beta_ = options.dtr_beta;
}

at::Tensor TaskRouting::first_channels(std::int64_t channels) const {
  const auto spare = static_cast<double>(channels - active_channels(channels, beta_));
  return (progress_ * spare).round().to(at::kLong);
}

at::Tensor TaskRouting::operator()(const at::Tensor& x) const {
  if (!is_on()) return x;
  const std::int64_t channels = x.size(1);
  const at::Tensor first = first_channels(channels).unsqueeze(1);
  const at::Tensor channel = at::arange(channels, first.options()).unsqueeze(0);
  const at::Tensor seen = channel.ge(first).logical_and(
      channel.lt(first + active_channels(channels, beta_)));  // [N, C]
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  shape[1] = channels;
  return x * seen.to(x.scalar_type()).view(shape);
}

}  // namespace crescendo::unet
