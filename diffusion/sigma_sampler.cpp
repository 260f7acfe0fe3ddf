#include "diffusion/sigma_sampler.h"

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

#include <ATen/TensorOperators.h>

#include "diffusion/sigma_schedule.h"

namespace crescendo::diffusion {

namespace {

/// The samplers. Their latents are x = x0 + sigma noise; the model is given x / sqrt(sigma^2 + 1),
/// which is x_t.
class SigmaSampler {
 public:
  SigmaSampler(const std::string& prediction_type, const Denoiser& denoiser,
               const StepNoise& step_noise)
      : prediction_type_(prediction_type), denoiser_(denoiser), step_noise_(step_noise) {}

  at::Tensor euler(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to) {
    return x + slope(x, from) * (to.sigma - from.sigma);
  }

  /// Euler's method to below the next level, and noise up to it.
  at::Tensor euler_a(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to,
                     std::int64_t step) {
    const double ratio = to.sigma / from.sigma;
    const double up = to.sigma * std::sqrt(1 - ratio * ratio);
    const double down = to.sigma * ratio;  // sqrt(to^2 - up^2)
    return with_noise(x + slope(x, from) * (down - from.sigma), up, step);
  }

  /// The mean of the slopes at both ends.
  at::Tensor heun(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to) {
    const at::Tensor first = slope(x, from);
    const double width = to.sigma - from.sigma;
    const at::Tensor guess = x + first * width;
    if (to.sigma == 0) return guess;
    return x + (first + slope(guess, to)) * (width / 2);
  }

  /// With h the difference of log sigma; x0 is extrapolated through the step before.
  at::Tensor dpm_2m(const at::Tensor& x, const NoiseLevel& from, const NoiseLevel& to,
                    std::int64_t step, bool is_stochastic) {
    const at::Tensor x0 = denoise(x, from);
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

  /// As the model saw it last.
  const at::Tensor& x0() const { return x0_; }

 private:
  at::Tensor denoise(const at::Tensor& x, const NoiseLevel& level) {
    const double variance = level.sigma * level.sigma + 1;
    const at::Tensor prediction = denoiser_(x / std::sqrt(variance), level.timestep);
    if (prediction_type_ == "epsilon") {
      x0_ = x - level.sigma * prediction;
    } else if (prediction_type_ == "sample") {
      x0_ = prediction;
    } else {
      x0_ = x / variance - prediction * (level.sigma / std::sqrt(variance));
    }
    return x0_;
  }

  /// dx / dsigma of the probability flow.
  at::Tensor slope(const at::Tensor& x, const NoiseLevel& level) {
    return (x - denoise(x, level)) / level.sigma;
  }

  at::Tensor with_noise(const at::Tensor& x, double deviation, std::int64_t step) const {
    if (deviation == 0) return x;
    if (!step_noise_) throw std::invalid_argument("sample: this sampler needs step_noise");
    return x + deviation * step_noise_(step);
  }

  const std::string& prediction_type_;
  const Denoiser& denoiser_;
  const StepNoise& step_noise_;
  at::Tensor x0_;
  at::Tensor last_x0_;
  double last_h_ = 0;
};

/// Of the latents to begin with. The reference adds the data's own variance except to spacings that
/// begin at the last timestep.
double initial_deviation(const SamplerOptions& options, double sigma) {
  const bool is_all_noise =
      !options.sampler.starts_with("dpm++") && options.timestep_spacing != "leading";
  return is_all_noise ? sigma : std::sqrt(sigma * sigma + 1);
}

}  // namespace

at::Tensor sample_by_sigma(const NoiseSchedule& schedule, const SamplerOptions& options,
                           const at::Tensor& initial_noise, const Denoiser& denoiser,
                           const StepNoise& step_noise, const StepProgress& progress,
                           const InitialLatents& initial) {
  const std::vector<NoiseLevel> levels = noise_levels(schedule, options);
  SigmaSampler sampler(schedule.options().prediction_type, denoiser, step_noise);
  const auto noised_x0 = [&](const NoiseLevel& level) {
    return initial.x0 + level.sigma * initial_noise;
  };
  const auto first = static_cast<std::size_t>(initial.first_step);
  at::Tensor x = begins_from_x0(initial)
                     ? noised_x0(levels[first])
                     : initial_noise * initial_deviation(options, levels.front().sigma);
  for (std::size_t i = first; i + 1 < levels.size(); ++i) {
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
    if (initial.mask.defined()) x = noised_x0(to).lerp(x, initial.mask);
    if (progress) {
      progress(step + 1 - initial.first_step, options.steps - initial.first_step, sampler.x0());
    }
  }
  return x;
}

}  // namespace crescendo::diffusion
