#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::diffusion {

/// The table [diffusion]. The first six keys are those of diffusers' scheduler_config.json; the
/// defaults are Stable Diffusion's.
struct DiffusionOptions {
  std::int64_t num_train_timesteps = 1000;
  std::string beta_schedule = "scaled_linear";
  double beta_start = 0.00085;
  double beta_end = 0.012;
  std::string prediction_type = "epsilon";
  bool rescale_betas_zero_snr = false;
  std::string loss_weighting = "uniform";
  double snr_gamma = 5;
  double p2_k = 1;
  double p2_gamma = 1;
  double sigma_data = 0.5;
};

std::vector<Field> fields(DiffusionOptions& options);

/// How samples are drawn. The last three keys are those of diffusers' scheduler_config.json;
/// samplers and schedulers have the names of stable-diffusion.cpp.
struct SamplerOptions {
  std::string sampler = "ddim";
  std::int64_t steps = 50;
  double eta = 0;
  std::string scheduler = "discrete";
  std::string timestep_spacing = "trailing";
  std::int64_t steps_offset = 1;
  bool set_alpha_to_one = true;

  /// Whether the sampler works on x0 + sigma noise, by levels of sigma (diffusion/sigma_sampler.h),
  /// and not on the steps of the schedule.
  bool uses_sigmas() const { return sampler != "ddim" && sampler != "ddpm"; }
};

std::vector<Field> fields(SamplerOptions& options);

/// Checks every field, that 0 < beta_start <= beta_end < 1, and that the model can learn at its
/// noisiest timestep. Throws UserError naming the key.
void check(DiffusionOptions options);
void check(SamplerOptions options);

}  // namespace crescendo::diffusion
