#pragma once

#include <vector>

#include "diffusion/noise_schedule.h"
#include "diffusion/options.h"

namespace crescendo::diffusion {

/// A noise level: latents are x0 + sigma noise there, which is x_t / sqrt(a_t) of the schedule.
struct NoiseLevel {
  double sigma = 0;     ///< sqrt((1 - a_t) / a_t)
  double timestep = 0;  ///< what the model is told; a fraction between two of the schedule's
};

/// The levels that a sampler with uses_sigmas() visits, falling: options.steps of them, as
/// diffusers' scheduler of that name spaces them, and at last sigma = 0. "karras": arXiv
/// 2206.00364, Eq. 5, rho
/// 7. Throws UserError when they do not fit into the schedule.
std::vector<NoiseLevel> noise_levels(const NoiseSchedule& schedule, const SamplerOptions& options);

}  // namespace crescendo::diffusion
