#include "diffusion/scheduler_config.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/fields.h"

namespace crescendo::diffusion {

namespace {

struct SchedulerOptions {
  DiffusionOptions diffusion;
  SamplerOptions sampler;
  bool use_karras_sigmas = false;
  bool use_exponential_sigmas = false;
  std::string sigma_schedule = "karras";
};

/// A scheduler of diffusers and the sampler that is the same. Keys that only some classes have, and
/// that must be as we compute, are `fixed`; `ignored` ones change nothing there.
struct SchedulerClass {
  std::string_view name;
  std::string_view sampler;
  const char* timestep_spacing;  ///< diffusers' default
  ModelConfigRules rules;
  std::string_view formulation = "discrete";
};

constexpr std::string_view kStochastic = "dpm++2m_sde";

const ModelConfigRules kVariancePreserving{
    .fixed = {{"clip_sample", false}, {"thresholding", false}},
    .ignored = {"clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value",
                "skip_prk_steps"}};

ModelConfigRules ddpm_rules() {
  ModelConfigRules rules = kVariancePreserving;
  rules.fixed.push_back({"variance_type", "fixed_small"});
  return rules;
}

ModelConfigRules dpm_rules(const char* algorithm) {
  return {.fixed = {{"solver_order", 2},
                    {"solver_type", "midpoint"},
                    {"algorithm_type", algorithm},
                    {"thresholding", false},
                    {"euler_at_final", false},
                    {"use_lu_lambdas", false},
                    {"use_flow_sigmas", false},
                    {"use_dynamic_shifting", false},
                    {"final_sigmas_type", "zero"},
                    {"variance_type", nullptr}},
          .ignored = {"dynamic_thresholding_ratio", "sample_max_value", "lower_order_final",
                      "lambda_min_clipped", "flow_shift", "time_shift_type", "set_alpha_to_one"}};
}

const ModelConfigRules kEdmRules{
    .fixed = {{"prediction_type", "epsilon"}, {"final_sigmas_type", "zero"}}};

const ModelConfigRules kFlowRules{.fixed = {{"use_dynamic_shifting", false},
                                            {"invert_sigmas", false},
                                            {"shift_terminal", nullptr},
                                            {"use_karras_sigmas", false},
                                            {"use_exponential_sigmas", false},
                                            {"use_beta_sigmas", false},
                                            {"stochastic_sampling", false}},
                                  .ignored = {"base_shift", "max_shift", "base_image_seq_len",
                                              "max_image_seq_len", "time_shift_type"}};

/// The first of a sampler is the one that is written; the first of a name is the one that is read.
const std::vector<SchedulerClass>& scheduler_classes() {
  static const std::vector<SchedulerClass> classes{
      {"DDIMScheduler", "ddim", "leading", kVariancePreserving},
      {"PNDMScheduler", "ddim", "leading", kVariancePreserving},
      {"DDPMScheduler", "ddpm", "leading", ddpm_rules()},
      {"EulerDiscreteScheduler",
       "euler",
       "linspace",
       {.fixed = {{"interpolation_type", "linear"},
                  {"timestep_type", "discrete"},
                  {"sigma_min", nullptr},
                  {"sigma_max", nullptr},
                  {"final_sigmas_type", "zero"}},
        .ignored = {"clip_sample", "set_alpha_to_one", "skip_prk_steps"}}},
      {"EulerAncestralDiscreteScheduler",
       "euler_a",
       "linspace",
       {.ignored = {"clip_sample", "set_alpha_to_one", "skip_prk_steps"}}},
      {"HeunDiscreteScheduler",
       "heun",
       "linspace",
       {.fixed = {{"clip_sample", false}},
        .ignored = {"clip_sample_range", "set_alpha_to_one", "skip_prk_steps"}}},
      {"DPMSolverMultistepScheduler", "dpm++2m", "linspace", dpm_rules("dpmsolver++")},
      {"DPMSolverMultistepScheduler", kStochastic, "linspace", dpm_rules("sde-dpmsolver++")},
      {"EDMEulerScheduler", "euler", "trailing", kEdmRules, "edm"},
      {"FlowMatchEulerDiscreteScheduler", "euler", "trailing", kFlowRules, "flow_matching"},
  };
  return classes;
}

/// Of our fields, those that the scheduler_config.json of a formulation has too.
std::vector<std::string_view> shared_fields(std::string_view formulation) {
  if (formulation == "edm") {
    return {"num_train_timesteps", "sigma_data", "sigma_min", "sigma_max", "rho"};
  }
  if (formulation == "flow_matching") return {"num_train_timesteps", "shift"};
  return {"num_train_timesteps", "beta_schedule",          "beta_start",   "beta_end",
          "prediction_type",     "rescale_betas_zero_snr", "steps_offset", "timestep_spacing"};
}

/// The fields above that the scheduler_config.json of this class has too.
std::vector<Field> scheduler_fields(SchedulerOptions& options, const SchedulerClass& scheduler) {
  std::vector<std::string_view> shared = shared_fields(scheduler.formulation);
  options.diffusion.formulation = scheduler.formulation;
  options.sampler.sampler = scheduler.sampler;
  const bool is_discrete = scheduler.formulation == "discrete";
  const bool curves =
      is_discrete && options.sampler.uses_sigmas() && options.sampler.sampler != "euler_a";
  if (!options.sampler.uses_sigmas()) shared.emplace_back("set_alpha_to_one");
  std::vector<Field> all = fields(options.diffusion);
  for (Field& field : fields(options.sampler)) all.push_back(std::move(field));
  std::erase_if(all, [&](const Field& field) {
    return std::ranges::find(shared, field.name) == shared.end();
  });
  if (curves) {
    all.push_back({"use_karras_sigmas", &options.use_karras_sigmas, "scheduler = karras"});
    all.push_back(
        {"use_exponential_sigmas", &options.use_exponential_sigmas, "scheduler = exponential"});
  }
  if (scheduler.formulation == "edm") {
    all.push_back({.name = "sigma_schedule",
                   .value = &options.sigma_schedule,
                   .doc = "scheduler = exponential, or else karras",
                   .choices = {"karras", "exponential"}});
  }
  return all;
}

ModelConfigRules rules_of(const SchedulerClass& scheduler) {
  ModelConfigRules rules = scheduler.rules;
  if (scheduler.formulation == "discrete") rules.fixed.push_back({"trained_betas", nullptr});
  return rules;
}

/// Throws UserError for a class whose keys have other meanings.
const SchedulerClass& class_of(const nlohmann::json& config, const std::string& where) {
  const auto& classes = scheduler_classes();
  if (!config.is_object() || !config.contains("_class_name")) return classes.front();
  const nlohmann::json& name = config.at("_class_name");
  const bool is_stochastic = config.value("algorithm_type", "") == "sde-dpmsolver++";
  std::vector<std::string_view> known;
  for (const SchedulerClass& one : classes) {
    if (name == one.name && (one.sampler == kStochastic) == is_stochastic) return one;
    if (one.sampler != kStochastic) known.push_back(one.name);
  }
  throw UserError("{}: _class_name: expected one of {}, found {}", where, fmt::join(known, ", "),
                  name.dump());
}

SchedulerOptions read_scheduler(const nlohmann::json& config, const std::string& where) {
  const SchedulerClass& scheduler = class_of(config, where);
  // What the reference takes for a key that is absent.
  SchedulerOptions options;
  options.diffusion.beta_schedule = "linear";
  options.diffusion.beta_start = 0.0001;
  options.diffusion.beta_end = 0.02;
  options.sampler.timestep_spacing = scheduler.timestep_spacing;
  options.sampler.steps_offset = 0;
  options.sampler.set_alpha_to_one = scheduler.name != "PNDMScheduler";
  read_model_config(config, where, scheduler_fields(options, scheduler), rules_of(scheduler));
  if (options.use_karras_sigmas) options.sampler.scheduler = "karras";
  if (options.use_exponential_sigmas) options.sampler.scheduler = "exponential";
  if (scheduler.formulation == "edm") options.sampler.scheduler = options.sigma_schedule;
  return options;
}

}  // namespace

nlohmann::ordered_json scheduler_config(const DiffusionOptions& options,
                                        const SamplerOptions& sampler) {
  const auto& classes = scheduler_classes();
  // A DDPMScheduler would lose eta and the end of ddim's last step; the model is the same.
  const auto written = std::ranges::find_if(classes, [&](const SchedulerClass& one) {
    if (options.formulation != "discrete") return one.formulation == options.formulation;
    return sampler.uses_sigmas() ? one.sampler == sampler.sampler : true;
  });
  const bool is_exponential = sampler.scheduler == "exponential";
  SchedulerOptions shared{options, sampler, sampler.scheduler == "karras", is_exponential,
                          is_exponential ? "exponential" : "karras"};
  return model_config_to_json(std::string(written->name), scheduler_fields(shared, *written),
                              rules_of(*written));
}

DiffusionOptions read_scheduler_config(const nlohmann::json& config, const std::string& where) {
  return read_scheduler(config, where).diffusion;
}

SamplerOptions read_sampler_options(const nlohmann::json& config, const std::string& where) {
  return read_scheduler(config, where).sampler;
}

}  // namespace crescendo::diffusion
