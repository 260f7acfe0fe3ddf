#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::diffusion {

/// The table [diffusion]. The first five keys are those of diffusers' scheduler_config.json; the
/// defaults are Stable Diffusion's.
struct DiffusionOptions {
  std::int64_t num_train_timesteps = 1000;
  std::string beta_schedule = "scaled_linear";
  double beta_start = 0.00085;
  double beta_end = 0.012;
  std::string prediction_type = "epsilon";
  std::string loss_weighting = "uniform";
  double snr_gamma = 5;
  double p2_k = 1;
  double p2_gamma = 1;
};

std::vector<Field> fields(DiffusionOptions& options);

/// How samples are drawn. The last three keys are those of diffusers' scheduler_config.json.
struct SamplerOptions {
  std::string sampler = "ddim";
  std::int64_t steps = 50;
  double eta = 0;
  std::string timestep_spacing = "trailing";
  std::int64_t steps_offset = 1;
  bool set_alpha_to_one = true;
};

std::vector<Field> fields(SamplerOptions& options);

/// Checks every field, and that 0 < beta_start <= beta_end < 1. Throws UserError naming the key.
void check(DiffusionOptions options);
void check(SamplerOptions options);

}  // namespace crescendo::diffusion
