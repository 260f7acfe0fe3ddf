#include "diffusion/noise_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include <ATen/ops/tensor.h>

#include "diffusion/loss.h"
#include "diffusion/sigma_schedule.h"

namespace crescendo::diffusion {

namespace {

/// Points evenly spaced over [first, last].
std::vector<double> linspace(double first, double last, std::int64_t count) {
  std::vector<double> points(static_cast<std::size_t>(count), first);
  for (std::size_t i = 1; i < points.size(); ++i) {
    points[i] = first + (last - first) * static_cast<double>(i) / static_cast<double>(count - 1);
  }
  return points;
}

/// Nichol and Dhariwal, arXiv 2102.09672, Eq. 17, each beta at most 0.999.
std::vector<double> cosine_betas(std::int64_t count) {
  const auto signal = [&](std::int64_t step) {
    const double time = static_cast<double>(step) / static_cast<double>(count);
    const double root = std::cos((time + 0.008) / 1.008 * std::numbers::pi / 2);
    return root * root;
  };
  std::vector<double> betas;
  for (std::int64_t t = 0; t < count; ++t) {
    betas.push_back(std::min(1 - signal(t + 1) / signal(t), 0.999));
  }
  return betas;
}

std::vector<double> betas_of(const DiffusionOptions& options) {
  const std::int64_t count = options.num_train_timesteps;
  if (options.beta_schedule == "squaredcos_cap_v2") return cosine_betas(count);
  if (options.beta_schedule == "linear") {
    return linspace(options.beta_start, options.beta_end, count);
  }
  std::vector<double> betas =
      linspace(std::sqrt(options.beta_start), std::sqrt(options.beta_end), count);
  for (double& beta : betas) beta *= beta;
  return betas;
}

/// Shifts and scales the signal rates so that the last is 0 and the first stays (Lin et al., arXiv
/// 2305.08891, Algorithm 1).
void rescale_to_zero_snr(std::vector<double>& alphas_cumprod) {
  const double first = std::sqrt(alphas_cumprod.front());
  const double last = std::sqrt(alphas_cumprod.back());
  for (double& alpha_cumprod : alphas_cumprod) {
    const double signal_rate = (std::sqrt(alpha_cumprod) - last) * first / (first - last);
    alpha_cumprod = signal_rate * signal_rate;
  }
}

/// The entries of `table` at `timesteps`, as `like` and shaped [N,1,...] to multiply it.
at::Tensor gather(const at::Tensor& table, const at::Tensor& timesteps, const at::Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[0] = timesteps.size(0);
  const at::Tensor values = table.to(like.options()).index_select(0, timesteps.to(like.device()));
  return values.view(shape);
}

}  // namespace

NoiseSchedule::NoiseSchedule(const DiffusionOptions& options) : options_(options) {
  check(options_);
  std::vector<double> signal_rates;
  std::vector<double> noise_rates;
  std::vector<double> weights;
  double product = 1;
  for (const double beta : betas_of(options_)) alphas_cumprod_.push_back(product *= 1 - beta);
  if (options_.rescale_betas_zero_snr) rescale_to_zero_snr(alphas_cumprod_);
  for (const double alpha_cumprod : alphas_cumprod_) {
    const double snr = alpha_cumprod / (1 - alpha_cumprod);
    snr_.push_back(snr);
    signal_rates.push_back(std::sqrt(alpha_cumprod));
    noise_rates.push_back(std::sqrt(1 - alpha_cumprod));
    weights.push_back(loss_weight(options_, snr));
  }
  signal_rate_ = at::tensor(signal_rates, at::kDouble);
  noise_rate_ = at::tensor(noise_rates, at::kDouble);
  weights_ = at::tensor(weights, at::kFloat);
}

at::Tensor NoiseSchedule::add_noise(const at::Tensor& x0, const at::Tensor& noise,
                                    const at::Tensor& timesteps) const {
  return gather(signal_rate_, timesteps, x0) * x0 + gather(noise_rate_, timesteps, x0) * noise;
}

at::Tensor NoiseSchedule::velocity(const at::Tensor& x0, const at::Tensor& noise,
                                   const at::Tensor& timesteps) const {
  return gather(signal_rate_, timesteps, x0) * noise - gather(noise_rate_, timesteps, x0) * x0;
}

at::Tensor NoiseSchedule::target(const at::Tensor& x0, const at::Tensor& noise,
                                 const at::Tensor& timesteps) const {
  if (options_.prediction_type == "epsilon") return noise;
  if (options_.prediction_type == "sample") return x0;
  return velocity(x0, noise, timesteps);
}

at::Tensor NoiseSchedule::weights(const at::Tensor& timesteps) const {
  return weights_.to(timesteps.device()).index_select(0, timesteps);
}

at::Tensor NoiseSchedule::levels(std::span<const std::int64_t> timesteps) const {
  return at::tensor(at::ArrayRef(timesteps.data(), timesteps.size()), at::kLong);
}

double NoiseSchedule::quantile(double share) const {
  return std::floor(share * static_cast<double>(num_train_timesteps()));
}

std::optional<std::int64_t> NoiseSchedule::place_at(double share) const {
  return static_cast<std::int64_t>(quantile(share));
}

ModelInput NoiseSchedule::model_input(const at::Tensor& noised, const at::Tensor& timesteps) const {
  return {noised, timesteps.to(noised.device())};
}

std::vector<NoiseLevel> NoiseSchedule::sampling_levels(const SamplerOptions& options) const {
  return noise_levels(*this, options);
}

double NoiseSchedule::initial_deviation(const SamplerOptions& options, double sigma) const {
  // The reference adds the data's own variance except to spacings that begin at the last timestep.
  const bool is_all_noise =
      !options.sampler.starts_with("dpm++") && options.timestep_spacing != "leading";
  return is_all_noise ? sigma : std::sqrt(sigma * sigma + 1);
}

at::Tensor NoiseSchedule::denoise(const at::Tensor& x, const NoiseLevel& level,
                                  const Denoiser& denoiser) const {
  const double variance = level.sigma * level.sigma + 1;
  const at::Tensor prediction = denoiser(x / std::sqrt(variance), level.timestep);
  if (options_.prediction_type == "epsilon") return x - level.sigma * prediction;
  if (options_.prediction_type == "sample") return prediction;
  return x / variance - prediction * (level.sigma / std::sqrt(variance));
}

}  // namespace crescendo::diffusion
