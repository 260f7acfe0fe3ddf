#include "diffusion/edm_process.h"

#include <cmath>

#include <ATen/ops/exp.h>

#include "core/error.h"
#include "diffusion/loss.h"
#include "diffusion/quantiles.h"
#include "diffusion/sigma_schedule.h"

namespace crescendo::diffusion {

Preconditioning preconditioning(double sigma, double sigma_data) {
  const double deviation = std::hypot(sigma, sigma_data);
  return {.skip = sigma_data * sigma_data / (deviation * deviation),
          .out = sigma * sigma_data / deviation,
          .in = 1 / deviation,
          .noise = std::log(sigma) / 4};
}

EdmProcess::EdmProcess(const DiffusionOptions& options) : options_(options) { check(options_); }

std::int64_t EdmProcess::places() const { return kPlaces; }

at::Tensor EdmProcess::levels(std::span<const std::int64_t> places) const {
  return (options_.p_mean + options_.p_std * normal_quantile(shares_of(places))).exp();
}

double EdmProcess::quantile(double share) const {
  return std::exp(options_.p_mean + options_.p_std * normal_quantile(share));
}

at::Tensor EdmProcess::add_noise(const at::Tensor& x0, const at::Tensor& noise,
                                 const at::Tensor& levels) const {
  return x0 + factors(levels, x0, [](double sigma) { return sigma; }) * noise;
}

ModelInput EdmProcess::model_input(const at::Tensor& noised, const at::Tensor& levels) const {
  const auto told = [this](double sigma) { return at_sigma(sigma).noise; };
  return {factors(levels, noised, [this](double sigma) { return at_sigma(sigma).in; }) * noised,
          of_levels(levels, told).to(noised.device(), at::kFloat)};
}

at::Tensor EdmProcess::target(const at::Tensor& x0, const at::Tensor& noise,
                              const at::Tensor& levels) const {
  const auto of_x0 = [this](double sigma) {
    return sigma / options_.sigma_data * at_sigma(sigma).in;
  };
  const auto of_noise = [this](double sigma) { return options_.sigma_data * at_sigma(sigma).in; };
  return factors(levels, x0, of_x0) * x0 - factors(levels, x0, of_noise) * noise;
}

at::Tensor EdmProcess::weights(const at::Tensor& levels) const {
  const auto weight = [this](double sigma) {
    return loss_weight(options_, 1 / (sigma * sigma), at_sigma(sigma).out);
  };
  return of_levels(levels, weight).to(at::kFloat);
}

std::vector<NoiseLevel> EdmProcess::sampling_levels(const SamplerOptions& options) const {
  check_fit(options_, options);
  std::vector<NoiseLevel> levels;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    const double sigma =
        curved_sigma(options, i, options.sigma_max, options.sigma_min, options.rho);
    levels.push_back({sigma, at_sigma(sigma).noise});
  }
  levels.push_back({});
  return levels;
}

double EdmProcess::initial_deviation(const SamplerOptions& /*options*/, double sigma) const {
  return std::hypot(sigma, 1.0);  // as the reference, which takes the data's deviation for 1
}

at::Tensor EdmProcess::denoise(const at::Tensor& x, const NoiseLevel& level,
                               const Denoiser& denoiser) const {
  const Preconditioning c = at_sigma(level.sigma);
  return c.skip * x + c.out * denoiser(c.in * x, level.timestep);
}

}  // namespace crescendo::diffusion
