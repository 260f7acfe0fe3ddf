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

/// Told after each step: how many are done, of how many, and the clean latents, [N,...], that the
/// model saw behind the noise in it. What it throws ends the sampling.
using StepProgress =
    std::function<void(std::int64_t done, std::int64_t steps, const at::Tensor& x0)>;

/// Latents to begin from in place of noise alone (image-to-image, inpainting).
struct InitialLatents {
  at::Tensor x0{};  ///< clean, [N,...] or what broadcasts to it; undefined: noise alone
  std::int64_t first_step =
      0;              ///< the steps before it are left out; x0 gets the noise of its level
  at::Tensor mask{};  ///< broadcasts to [N,...]: 1 is drawn, 0 stays x0; undefined: all 1
};

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
///
/// With `initial` it begins at its first_step, and puts x0, with `initial_noise` of the level, back
/// after each step where the mask is 0; as diffusers' image-to-image and inpainting pipelines of
/// Stable Diffusion. With a mask, first_step 0 begins from noise alone.
at::Tensor sample(const NoiseProcess& process, const SamplerOptions& options,
                  at::Tensor initial_noise, const Denoiser& denoiser,
                  const StepNoise& step_noise = {}, const StepProgress& progress = {},
                  const InitialLatents& initial = {});

/// Whether sample() begins from x0 with noise, and not from noise alone.
bool begins_from_x0(const InitialLatents& initial);

/// The first of `steps` steps to take for an image-to-image strength in (0, 1]: 1 takes them all,
/// int(steps strength) of them as diffusers. Throws UserError when that leaves none.
std::int64_t first_step_of(std::int64_t steps, double strength);

/// Classifier-free guidance (arXiv 2207.12598): unconditional + scale (conditional -
/// unconditional). Scale 1 is the conditional prediction.
at::Tensor guide(const at::Tensor& unconditional, const at::Tensor& conditional, double scale);

/// Brings the deviation of a guided prediction back by `rescale`, in [0, 1], of the way to the
/// conditional one's (arXiv 2305.08891, Eq. 14 to 16). guided, conditional: [N,...].
at::Tensor rescale_guidance(const at::Tensor& guided, const at::Tensor& conditional,
                            double rescale);

}  // namespace crescendo::diffusion
