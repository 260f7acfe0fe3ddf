#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "diffusion/noise_schedule.h"
#include "diffusion/options.h"

namespace crescendo::diffusion {

/// Fresh standard normal noise of the latents' shape, dtype and device for a step, 0 being the
/// first. Called only in steps that use it.
using StepNoise = std::function<at::Tensor(std::int64_t step)>;

/// Told after each step: how many are done, of how many.
using StepProgress = std::function<void(std::int64_t done, std::int64_t steps)>;

/// The timesteps that ddim or ddpm visits, falling: `steps` of them, spaced as diffusers spaces
/// them. Throws UserError when they do not fit into the schedule.
std::vector<std::int64_t> sampling_timesteps(const NoiseSchedule& schedule,
                                             const SamplerOptions& options);

/// Throws UserError where sampler, steps and process do not fit each other, as sample() would.
void check_fit(const NoiseProcess& process, const SamplerOptions& options);

/// Draws latents from noise, by DDIM (Song et al., arXiv 2010.02502, Eq. 12, 16) or ancestral DDPM
/// sampling (arXiv 2006.11239, Eq. 7), step by step as diffusers' DDIMScheduler and DDPMScheduler,
/// or by sample_by_sigma(). x0 is never clipped: latents have no range. `step_noise` may be empty
/// for a sampler that adds no noise: ddim with eta = 0, euler, heun, dpm++2m. Keeps no graph of its
/// own accord: call it under a NoGradGuard.
at::Tensor sample(const NoiseProcess& process, const SamplerOptions& options,
                  at::Tensor initial_noise, const Denoiser& denoiser,
                  const StepNoise& step_noise = {}, const StepProgress& progress = {});

/// Classifier-free guidance (arXiv 2207.12598): unconditional + scale (conditional -
/// unconditional). Scale 1 is the conditional prediction.
at::Tensor guide(const at::Tensor& unconditional, const at::Tensor& conditional, double scale);

}  // namespace crescendo::diffusion
