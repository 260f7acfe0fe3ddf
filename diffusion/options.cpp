#include "diffusion/options.h"

#include "core/error.h"

namespace crescendo::diffusion {

std::vector<Field> fields(DiffusionOptions& o) {
  return {
      {"num_train_timesteps", &o.num_train_timesteps, "number of timesteps, T", 1},
      {.name = "beta_schedule",
       .value = &o.beta_schedule,
       .doc = "how noise grows with the timestep; squaredcos_cap_v2 is the cosine schedule",
       .choices = {"linear", "scaled_linear", "squaredcos_cap_v2"}},
      {"beta_start", &o.beta_start, "noise variance of the first step; unused by the cosine one", 0,
       1},
      {"beta_end", &o.beta_end, "noise variance of the last step; unused by the cosine one", 0, 1},
      {.name = "prediction_type",
       .value = &o.prediction_type,
       .doc = "what the model predicts: the noise, the velocity or the clean latents",
       .choices = {"epsilon", "v_prediction", "sample"}},
      {"rescale_betas_zero_snr", &o.rescale_betas_zero_snr,
       "leave no signal at the last timestep (arXiv 2305.08891); for v_prediction and sample"},
      {.name = "loss_weighting",
       .value = &o.loss_weighting,
       .doc = "weight of each timestep's squared error",
       .choices = {"uniform", "min_snr", "p2", "debiased", "edm"}},
      {"snr_gamma", &o.snr_gamma, "gamma of min_snr", 1e-6},
      {"p2_k", &o.p2_k, "k of p2", 1e-6},
      {"p2_gamma", &o.p2_gamma, "gamma of p2; 0 is no weighting", 0},
      {"sigma_data", &o.sigma_data, "deviation of the latents, for the weighting edm", 1e-6},
  };
}

std::vector<Field> fields(SamplerOptions& o) {
  return {
      {.name = "sampler",
       .value = &o.sampler,
       .doc = "how noise is taken away, step by step",
       .choices = {"ddim", "ddpm", "euler", "euler_a", "heun", "dpm++2m", "dpm++2m_sde"}},
      {"steps", &o.steps, "number of denoising steps, at most diffusion.num_train_timesteps", 1},
      {"eta", &o.eta, "fresh noise of each ddim step: 0 none, 1 as much as ddpm", 0, 1},
      {.name = "scheduler",
       .value = &o.scheduler,
       .doc = "how noise falls from step to step: as timestep_spacing says (discrete), or by "
              "Karras et "
              "al. or exponentially; ddim and ddpm know discrete alone",
       .choices = {"discrete", "karras", "exponential"}},
      {.name = "timestep_spacing",
       .value = &o.timestep_spacing,
       .doc = "which timesteps the steps visit (arXiv 2305.08891, table 2)",
       .choices = {"leading", "trailing", "linspace"}},
      {"steps_offset", &o.steps_offset, "added to every timestep of the spacing \"leading\"", 0},
      {"set_alpha_to_one", &o.set_alpha_to_one,
       "the last ddim step ends at no noise, not at the noise of timestep 0"},
  };
}

void check(DiffusionOptions options) {
  check_fields(fields(options), "diffusion");
  if (options.rescale_betas_zero_snr && options.prediction_type == "epsilon") {
    throw UserError(
        "diffusion.rescale_betas_zero_snr: expected false with prediction_type = \"epsilon\", "
        "found "
        "true: where there is no signal, the noise tells nothing of the image; use "
        "\"v_prediction\"");
  }
  if (options.beta_start > 0 && options.beta_start <= options.beta_end && options.beta_end < 1) {
    return;
  }
  throw UserError(
      "diffusion.beta_start, diffusion.beta_end: expected 0 < beta_start <= beta_end < 1, found {} "
      "and {}",
      options.beta_start, options.beta_end);
}

void check(SamplerOptions options) {
  check_fields(fields(options), "sample");
  if (options.scheduler == "discrete" || options.uses_sigmas()) return;
  throw UserError(
      "sample.scheduler: expected \"discrete\" with sampler = \"{}\", found \"{}\"; for \"{}\" "
      "take "
      "euler, euler_a, heun, dpm++2m or dpm++2m_sde",
      options.sampler, options.scheduler, options.scheduler);
}

}  // namespace crescendo::diffusion
