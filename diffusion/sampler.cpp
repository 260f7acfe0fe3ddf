#include "diffusion/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include "core/error.h"
#include "diffusion/sigma_sampler.h"
#include "diffusion/sigma_schedule.h"

namespace crescendo::diffusion {

namespace {

/// What the model's prediction says of x_t = sqrt(a_t) x0 + sqrt(1 - a_t) epsilon.
struct Estimate {
  at::Tensor x0;
  at::Tensor epsilon;
};

Estimate estimate_of(const at::Tensor& prediction, const at::Tensor& latents, double alpha_cumprod,
                     const std::string& prediction_type) {
  const double signal = std::sqrt(alpha_cumprod);
  const double noise = std::sqrt(1 - alpha_cumprod);
  if (prediction_type == "epsilon") return {(latents - noise * prediction) / signal, prediction};
  if (prediction_type == "sample") return {prediction, (latents - signal * prediction) / noise};
  return {signal * latents - noise * prediction, signal * prediction + noise * latents};
}

/// Where a step goes: a_t before and after it, and the deviation of the noise it adds.
struct Step {
  double alpha_cumprod;
  double previous;
  double deviation;
};

/// Variance of q(x_{t-1} | x_t, x_0), "fixed_small" in diffusers.
double posterior_variance(double alpha_cumprod, double previous) {
  return (1 - previous) / (1 - alpha_cumprod) * (1 - alpha_cumprod / previous);
}

Step ddim_step(const NoiseSchedule& schedule, const SamplerOptions& options,
               std::int64_t timestep) {
  const auto alphas = schedule.alphas_cumprod();
  // As the reference: T / steps before, also where the spacing's next timestep is another.
  const std::int64_t before = timestep - schedule.num_train_timesteps() / options.steps;
  const double last = options.set_alpha_to_one ? 1.0 : alphas[0];
  const double alpha_cumprod = alphas[static_cast<std::size_t>(timestep)];
  const double previous = before >= 0 ? alphas[static_cast<std::size_t>(before)] : last;
  const double variance = std::max(posterior_variance(alpha_cumprod, previous), 0.0);
  return {alpha_cumprod, previous, options.eta * std::sqrt(variance)};
}

Step ddpm_step(const NoiseSchedule& schedule, const std::vector<std::int64_t>& timesteps,
               std::size_t index) {
  const auto alphas = schedule.alphas_cumprod();
  const double alpha_cumprod = alphas[static_cast<std::size_t>(timesteps[index])];
  const bool is_last = index + 1 == timesteps.size();
  const double previous = is_last ? 1.0 : alphas[static_cast<std::size_t>(timesteps[index + 1])];
  return {alpha_cumprod, previous, std::sqrt(posterior_variance(alpha_cumprod, previous))};
}

/// Mean of the DDIM step, Eq. 12.
at::Tensor ddim_mean(const Step& step, const Estimate& estimate) {
  const double direction =
      std::sqrt(std::max(1 - step.previous - step.deviation * step.deviation, 0.0));
  return std::sqrt(step.previous) * estimate.x0 + direction * estimate.epsilon;
}

/// Mean of q(x_{t-1} | x_t, x_0), Eq. 7.
at::Tensor ddpm_mean(const Step& step, const Estimate& estimate, const at::Tensor& latents) {
  const double alpha = step.alpha_cumprod / step.previous;
  const double of_x0 = std::sqrt(step.previous) * (1 - alpha) / (1 - step.alpha_cumprod);
  const double of_latents = std::sqrt(alpha) * (1 - step.previous) / (1 - step.alpha_cumprod);
  return of_x0 * estimate.x0 + of_latents * latents;
}

}  // namespace

std::vector<std::int64_t> sampling_timesteps(const NoiseSchedule& schedule,
                                             const SamplerOptions& options) {
  check_fit(schedule.options(), options);
  const std::int64_t count = schedule.num_train_timesteps();
  if (options.steps > count) {
    throw UserError("sample.steps: expected at most {} (diffusion.num_train_timesteps), found {}",
                    count, options.steps);
  }
  const auto steps = static_cast<double>(options.steps);
  std::vector<std::int64_t> timesteps;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    const auto position = static_cast<double>(i);
    const std::int64_t remaining = options.steps - 1 - i;
    if (options.timestep_spacing == "leading") {
      timesteps.push_back(remaining * (count / options.steps) + options.steps_offset);
    } else if (options.timestep_spacing == "trailing") {
      const double spacing = static_cast<double>(count) / steps;
      timesteps.push_back(std::llrint(static_cast<double>(count) - position * spacing) - 1);
    } else {
      const double spacing = static_cast<double>(count - 1) / std::max(steps - 1, 1.0);
      timesteps.push_back(std::llrint(static_cast<double>(remaining) * spacing));
    }
  }
  if (timesteps.front() >= count) {
    throw UserError("sample.steps_offset: {} steps with offset {} begin past the last timestep, {}",
                    options.steps, options.steps_offset, count - 1);
  }
  return timesteps;
}

void check_fit(const NoiseProcess& process, const SamplerOptions& options) {
  check_fit(process.options(), options);
  if (options.uses_sigmas()) {
    process.sampling_levels(options);
  } else {
    sampling_timesteps(*process.schedule(), options);
  }
}

at::Tensor sample(const NoiseProcess& process, const SamplerOptions& options,
                  at::Tensor initial_noise, const Denoiser& denoiser, const StepNoise& step_noise,
                  const StepProgress& progress) {
  check_fit(process.options(), options);
  if (options.uses_sigmas()) {
    return sample_by_sigma(process, options, initial_noise, denoiser, step_noise, progress);
  }
  const NoiseSchedule& schedule = *process.schedule();
  const std::vector<std::int64_t> timesteps = sampling_timesteps(schedule, options);
  const bool is_ddpm = options.sampler == "ddpm";
  at::Tensor latents = std::move(initial_noise);
  for (std::size_t i = 0; i < timesteps.size(); ++i) {
    const Step step =
        is_ddpm ? ddpm_step(schedule, timesteps, i) : ddim_step(schedule, options, timesteps[i]);
    const Estimate estimate =
        estimate_of(denoiser(latents, static_cast<double>(timesteps[i])), latents,
                    step.alpha_cumprod, schedule.options().prediction_type);
    latents = is_ddpm ? ddpm_mean(step, estimate, latents) : ddim_mean(step, estimate);
    const auto index = static_cast<std::int64_t>(i);
    if (step.deviation > 0) {
      if (!step_noise) throw std::invalid_argument("sample: this sampler needs step_noise");
      latents = latents + step.deviation * step_noise(index);
    }
    if (progress) progress(index + 1, options.steps);
  }
  return latents;
}

at::Tensor guide(const at::Tensor& unconditional, const at::Tensor& conditional, double scale) {
  return unconditional + scale * (conditional - unconditional);
}

}  // namespace crescendo::diffusion
