#include "diffusion/sigma_sampler.h"

#include <cmath>
#include <cstddef>
#include <stdexcept>

namespace crescendo::diffusion {

namespace {

/// The samplers. Their latents are x = x0 + sigma noise. euler and heun hold as well for flow
/// matching's (1 - t) x0 + t noise with sigma = t, whose slope, noise - x0, is (x - x0) / t too.
class SigmaSampler {
 public:
  SigmaSampler(const NoiseProcess& process, const Denoiser& denoiser, const StepNoise& step_noise)
      : process_(process), denoiser_(denoiser), step_noise_(step_noise) {}

  at::Tensor euler(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to) const {
    return x + slope(x, from) * (to.sigma - from.sigma);
  }

  /// Euler's method to below the next level, and noise up to it.
  at::Tensor euler_a(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to,
                     std::int64_t step) const {
    const double ratio = to.sigma / from.sigma;
    const double up = to.sigma * std::sqrt(1 - ratio * ratio);
    const double down = to.sigma * ratio;  // sqrt(to^2 - up^2)
    return with_noise(x + slope(x, from) * (down - from.sigma), up, step);
  }

  /// The mean of the slopes at both ends.
  at::Tensor heun(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to) const {
    const at::Tensor first = slope(x, from);
    const double width = to.sigma - from.sigma;
    const at::Tensor guess = x + first * width;
    if (to.sigma == 0) return guess;
    return x + (first + slope(guess, to)) * (width / 2);
  }

  /// With h the difference of log sigma; x0 is extrapolated through the step before.
  at::Tensor dpm_2m(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to,
                    std::int64_t step, bool is_stochastic) {
    const at::Tensor x0 = process_.denoise(x, from, denoiser_);
    const double h = std::log(from.sigma / to.sigma);  // infinite in the last step
    at::Tensor extrapolated = x0;
    if (last_x0_.defined() && to.sigma > 0) {
      extrapolated = x0 + (x0 - last_x0_) * (h / (2 * last_h_));
    }
    last_x0_ = x0;
    last_h_ = h;
    const double ratio = to.sigma / from.sigma;  // e^-h
    if (!is_stochastic) return ratio * x + (1 - ratio) * extrapolated;
    const double fresh = 1 - ratio * ratio;
    return with_noise(ratio * ratio * x + fresh * extrapolated, to.sigma * std::sqrt(fresh), step);
  }

 private:
  /// dx / dsigma of the probability flow.
  at::Tensor slope(const at::Tensor& x, const NoiseLevel& level) const {
    return (x - process_.denoise(x, level, denoiser_)) / level.sigma;
  }

  at::Tensor with_noise(const at::Tensor& x, double deviation, std::int64_t step) const {
    if (deviation == 0) return x;
    if (!step_noise_) throw std::invalid_argument("sample: this sampler needs step_noise");
    return x + deviation * step_noise_(step);
  }

  const NoiseProcess& process_;
  const Denoiser& denoiser_;
  const StepNoise& step_noise_;
  at::Tensor last_x0_;
  double last_h_ = 0;
};

}  // namespace

at::Tensor sample_by_sigma(const NoiseProcess& process, const SamplerOptions& options,
                           const at::Tensor& initial_noise, const Denoiser& denoiser,
                           const StepNoise& step_noise, const StepProgress& progress) {
  const std::vector<NoiseLevel> levels = process.sampling_levels(options);
  SigmaSampler sampler(process, denoiser, step_noise);
  at::Tensor x = initial_noise * process.initial_deviation(options, levels.front().sigma);
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel& from = levels[i];
    const NoiseLevel& to = levels[i + 1];
    const auto step = static_cast<std::int64_t>(i);
    if (options.sampler == "euler") {
      x = sampler.euler(x, from, to);
    } else if (options.sampler == "euler_a") {
      x = sampler.euler_a(x, from, to, step);
    } else if (options.sampler == "heun") {
      x = sampler.heun(x, from, to);
    } else {
      x = sampler.dpm_2m(x, from, to, step, options.sampler == "dpm++2m_sde");
    }
    if (progress) progress(step + 1, options.steps);
  }
  return x;
}

}  // namespace crescendo::diffusion
