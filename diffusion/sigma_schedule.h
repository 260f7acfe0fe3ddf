#pragma once

#include <vector>

#include "diffusion/noise_schedule.h"
#include "diffusion/options.h"

namespace crescendo::diffusion {

/// The levels that a sampler with uses_sigmas() visits, falling: options.steps of them, as
/// diffusers' scheduler of that name spaces them, and at last sigma = 0; sigma is
/// sqrt((1 - a_t) / a_t). "karras" has the rho 7. Throws UserError when they do not fit into the
/// schedule.
std::vector<NoiseLevel> noise_levels(const NoiseSchedule& schedule, const SamplerOptions& options);

/// Sigma `index` of options.steps from `highest` down to `lowest`: evenly in log sigma where the
/// scheduler is "exponential", else in sigma^(1 / rho) (Karras et al., arXiv 2206.00364, Eq. 5).
double curved_sigma(const SamplerOptions& options, std::int64_t index, double highest,
                    double lowest, double rho);

}  // namespace crescendo::diffusion
