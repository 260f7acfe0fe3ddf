#include "diffusion/flow_process.h"

#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>

#include "diffusion/loss.h"
#include "diffusion/quantiles.h"

namespace crescendo::diffusion {

FlowProcess::FlowProcess(DiffusionOptions options) : options_(std::move(options)) {
  check(options_);
}

std::int64_t FlowProcess::places() const { return kPlaces; }

double FlowProcess::shifted(double time) const {
  return options_.shift * time / (1 + (options_.shift - 1) * time);
}

at::Tensor FlowProcess::levels(std::span<const std::int64_t> places) const {
  at::Tensor times = shares_of(places);
  if (options_.time_sampling == "logit_normal") {
    times = (options_.logit_mean + options_.logit_std * normal_quantile(times)).sigmoid();
  }
  return of_levels(times, [this](double time) { return shifted(time); });
}

double FlowProcess::quantile(double share) const {
  if (options_.time_sampling == "uniform") return shifted(share);
  const double logit = options_.logit_mean + options_.logit_std * normal_quantile(share);
  return shifted(1 / (1 + std::exp(-logit)));
}

std::optional<std::int64_t> FlowProcess::place_at(double share) const {
  // shifted(), solved for the time that was drawn.
  const double time = share / (options_.shift - (options_.shift - 1) * share);
  double below = time;
  if (options_.time_sampling == "logit_normal") {
    const double logit = std::log(time / (1 - time));
    below = normal_cdf((logit - options_.logit_mean) / options_.logit_std);
  }
  return std::llround(below * static_cast<double>(kPlaces));
}

at::Tensor FlowProcess::add_noise(const at::Tensor& x0, const at::Tensor& noise,
                                  const at::Tensor& levels) const {
  return factors(levels, x0, [](double time) { return 1 - time; }) * x0 +
         factors(levels, x0, [](double time) { return time; }) * noise;
}

ModelInput FlowProcess::model_input(const at::Tensor& noised, const at::Tensor& levels) const {
  const auto count = static_cast<double>(options_.num_train_timesteps);
  const at::Tensor told = of_levels(levels, [&](double time) { return count * time; });
  return {noised, told.to(noised.device(), at::kFloat)};
}

at::Tensor FlowProcess::target(const at::Tensor& x0, const at::Tensor& noise,
                               const at::Tensor& /*levels*/) const {
  return noise - x0;
}

at::Tensor FlowProcess::weights(const at::Tensor& levels) const {
  const auto weight = [this](double time) {
    const double ratio = (1 - time) / time;
    return loss_weight(options_, ratio * ratio, time);
  };
  return of_levels(levels, weight).to(at::kFloat);
}

std::vector<NoiseLevel> FlowProcess::sampling_levels(const SamplerOptions& options) const {
  check_fit(options_, options);
  const auto count = static_cast<double>(options_.num_train_timesteps);
  const double last = shifted(1 / count);
  std::vector<NoiseLevel> levels;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    const double share =
        options.steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(options.steps - 1);
    const double time = shifted(1 + share * (last - 1));
    levels.push_back({time, count * time});
  }
  levels.push_back({});
  return levels;
}

at::Tensor FlowProcess::at_sigma(const at::Tensor& x0, const at::Tensor& noise,
                                 double sigma) const {
  return (1 - sigma) * x0 + sigma * noise;
}

at::Tensor FlowProcess::denoise(const at::Tensor& x, const NoiseLevel& level,
                                const Denoiser& denoiser) const {
  return x - level.sigma * denoiser(x, level.timestep);
}

}  // namespace crescendo::diffusion
