#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::diffusion {

/// The table [diffusion]. The six keys after the first are those of diffusers'
/// scheduler_config.json; the defaults are Stable Diffusion's.
struct DiffusionOptions {
  std::string formulation = "discrete";
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
  double p_mean = -1.2;  ///< of "edm", as the next
  double p_std = 1.2;
  std::string time_sampling = "logit_normal";  ///< of "flow_matching", as the next
  double logit_mean = 0;
  double logit_std = 1;
  double shift = 1;
};

std::vector<Field> fields(DiffusionOptions& options);

/// How samples are drawn. The last six keys are those of diffusers' scheduler_config.json;
/// samplers and schedulers have the names of stable-diffusion.cpp.
struct SamplerOptions {
  std::string sampler = "ddim";
  std::int64_t steps = 50;
  double eta = 0;
  std::string scheduler = "discrete";
  std::string timestep_spacing = "trailing";
  std::int64_t steps_offset = 1;
  bool set_alpha_to_one = true;
  double sigma_min = 0.002;  ///< of "edm", as the next
  double sigma_max = 80;
  double rho = 7;

  /// Whether the sampler works on x0 + sigma noise, by levels of sigma (diffusion/sigma_sampler.h),
  /// and not on the steps of the schedule.
  bool uses_sigmas() const { return sampler != "ddim" && sampler != "ddpm"; }
};

std::vector<Field> fields(SamplerOptions& options);

/// Checks every field, that 0 < beta_start <= beta_end < 1, that the model can learn at its
/// noisiest timestep, and that nothing is set that the formulation does not have. Throws UserError
/// naming the key.
void check(DiffusionOptions options);
void check(SamplerOptions options);

/// Checks that a sampler is one of the formulation, besides its own fields. Throws UserError.
void check_fit(const DiffusionOptions& diffusion, const SamplerOptions& options);

}  // namespace crescendo::diffusion
