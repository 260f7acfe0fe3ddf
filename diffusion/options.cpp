#include "diffusion/options.h"

#include "core/error.h"

namespace crescendo::diffusion {

namespace {

/// Where a key would say nothing, or what the formulation says otherwise.
void check_formulation(const DiffusionOptions& o) {
  if (o.formulation == "discrete") return;
  const auto refuse = [&](const char* key, const std::string& expected, const std::string& found) {
    throw UserError(
        "diffusion.{}: expected {}, its default, with formulation = \"{}\", which has no "
        "timesteps with betas and says itself what the model predicts; found {}",
        key, expected, o.formulation, found);
  };
  const std::string usual = DiffusionOptions{}.prediction_type;
  if (o.prediction_type != usual) {
    refuse("prediction_type", '"' + usual + '"', '"' + o.prediction_type + '"');
  }
  if (o.rescale_betas_zero_snr) refuse("rescale_betas_zero_snr", "false", "true");
}

/// Noise levels of sampling that no table of timesteps and no flow has.
void check_edm_levels(const DiffusionOptions& diffusion, const SamplerOptions& o) {
  const SamplerOptions usual;
  const bool is_usual =
      o.sigma_min == usual.sigma_min && o.sigma_max == usual.sigma_max && o.rho == usual.rho;
  if (diffusion.formulation == "edm" || is_usual) return;
  throw UserError(
      "sample.sigma_min, sigma_max, rho: expected their defaults for a model of formulation "
      "\"{}\", whose noise levels are its own; found {}, {} and {}",
      diffusion.formulation, o.sigma_min, o.sigma_max, o.rho);
}

}  // namespace

std::vector<Field> fields(DiffusionOptions& o) {
  return {
      {.name = "formulation",
       .value = &o.formulation,
       .doc = "discrete timesteps (DDPM), the noise levels of EDM, or flow matching; each has keys "
              "of its own",
       .choices = {"discrete", "edm", "flow_matching"}},
      {"num_train_timesteps", &o.num_train_timesteps,
       "number of timesteps, T; a flow matching model is told T times its time", 1},
      {.name = "beta_schedule",
       .value = &o.beta_schedule,
       .doc = "how noise grows with the timestep; squaredcos_cap_v2 is the cosine schedule",
       .choices = {"linear", "scaled_linear", "squaredcos_cap_v2"}},
      {"beta_start", &o.beta_start, "noise variance of the first step; unused by the cosine one", 0,
       1},
      {"beta_end", &o.beta_end, "noise variance of the last step; unused by the cosine one", 0, 1},
      {.name = "prediction_type",
       .value = &o.prediction_type,
       .doc = "what the model predicts: the noise, the velocity or the clean latents; for discrete",
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
      {"sigma_data", &o.sigma_data, "deviation of the latents, for edm, formulation and weighting",
       1e-6},
      {"p_mean", &o.p_mean, "mean of ln(sigma) in training, for edm"},
      {"p_std", &o.p_std, "deviation of ln(sigma) in training, for edm", 1e-6},
      {.name = "time_sampling",
       .value = &o.time_sampling,
       .doc = "how flow matching draws times",
       .choices = {"logit_normal", "uniform"}},
      {"logit_mean", &o.logit_mean, "mean of the logit of the time, for logit_normal"},
      {"logit_std", &o.logit_std, "deviation of the logit of the time, for logit_normal", 1e-6},
      {"shift", &o.shift,
       "moves the times of flow matching, in training and sampling: 3 towards noise, as for larger "
       "pictures; 1 leaves them",
       1e-6},
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
              "Karras et al. or exponentially; ddim and ddpm know discrete alone",
       .choices = {"discrete", "karras", "exponential"}},
      {.name = "timestep_spacing",
       .value = &o.timestep_spacing,
       .doc = "which timesteps the steps visit (arXiv 2305.08891, table 2)",
       .choices = {"leading", "trailing", "linspace"}},
      {"steps_offset", &o.steps_offset, "added to every timestep of the spacing \"leading\"", 0},
      {"set_alpha_to_one", &o.set_alpha_to_one,
       "the last ddim step ends at no noise, not at the noise of timestep 0"},
      {"sigma_min", &o.sigma_min, "noise of the last step of an EDM model", 1e-6},
      {"sigma_max", &o.sigma_max, "noise of the first step of an EDM model", 1e-6},
      {"rho", &o.rho, "curve of an EDM model's steps; the larger, the more of them in low noise",
       1e-6},
  };
}

void check(DiffusionOptions options) {
  check_fields(fields(options), "diffusion");
  check_formulation(options);
  if (options.rescale_betas_zero_snr && options.prediction_type == "epsilon") {
    throw UserError(
        "diffusion.rescale_betas_zero_snr: expected false with prediction_type = \"epsilon\", "
        "found true: where there is no signal, the noise tells nothing of the image; use "
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
  if (options.sigma_min >= options.sigma_max) {
    throw UserError("sample.sigma_min: expected less than sample.sigma_max, {}, found {}",
                    options.sigma_max, options.sigma_min);
  }
  if (options.scheduler == "discrete" || options.uses_sigmas()) return;
  throw UserError(
      "sample.scheduler: expected \"discrete\" with sampler = \"{}\", found \"{}\"; for \"{}\" "
      "take euler, euler_a, heun, dpm++2m or dpm++2m_sde",
      options.sampler, options.scheduler, options.scheduler);
}

void check_fit(const DiffusionOptions& diffusion, const SamplerOptions& options) {
  check(options);
  check_edm_levels(diffusion, options);
  const std::string& formulation = diffusion.formulation;
  if (formulation == "edm" && !options.uses_sigmas()) {
    throw UserError(
        "sample.sampler: expected euler, euler_a, heun, dpm++2m or dpm++2m_sde for a model of "
        "formulation \"edm\", found \"{}\", which steps through discrete timesteps",
        options.sampler);
  }
  if (formulation != "flow_matching") return;
  if (options.sampler != "euler" && options.sampler != "heun") {
    throw UserError(
        "sample.sampler: expected euler or heun for a model of formulation \"flow_matching\", "
        "found \"{}\", which takes latents to be x0 + sigma noise",
        options.sampler);
  }
  if (options.scheduler != "discrete") {
    throw UserError(
        "sample.scheduler: expected \"discrete\" for a model of formulation \"flow_matching\", "
        "whose times diffusion.shift curves, found \"{}\"",
        options.scheduler);
  }
}

}  // namespace crescendo::diffusion
