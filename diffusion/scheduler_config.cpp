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
};

/// The fields above that scheduler_config.json has too.
std::vector<Field> scheduler_fields(SchedulerOptions& options) {
  constexpr std::string_view kShared[] = {
      "num_train_timesteps", "beta_schedule",    "beta_start",   "beta_end",
      "prediction_type",     "timestep_spacing", "steps_offset", "set_alpha_to_one"};
  std::vector<Field> all = fields(options.diffusion);
  for (Field& field : fields(options.sampler)) all.push_back(std::move(field));
  std::erase_if(all, [&](const Field& field) {
    return std::ranges::find(kShared, field.name) == std::end(kShared);
  });
  return all;
}

/// "fixed_small" is the variance of our ddpm; the others matter to a DDPMScheduler alone.
ModelConfigRules scheduler_rules() {
  return {.fixed = {{"clip_sample", false},
                    {"thresholding", false},
                    {"rescale_betas_zero_snr", false},
                    {"trained_betas", nullptr}},
          .ignored = {"clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value",
                      "skip_prk_steps"}};
}

/// Throws UserError for a class whose keys have other meanings.
bool is_ddpm(const nlohmann::json& config, const std::string& where) {
  if (!config.is_object() || !config.contains("_class_name")) return false;
  const nlohmann::json& class_name = config.at("_class_name");
  if (class_name == "DDPMScheduler") return true;
  if (class_name == "DDIMScheduler" || class_name == "PNDMScheduler") return false;
  throw UserError(
      "{}: _class_name: expected DDIMScheduler, DDPMScheduler or PNDMScheduler, found {}", where,
      class_name.dump());
}

SchedulerOptions read_scheduler(const nlohmann::json& config, const std::string& where) {
  // What the reference takes for a key that is absent.
  SchedulerOptions options;
  options.diffusion.beta_schedule = "linear";
  options.diffusion.beta_start = 0.0001;
  options.diffusion.beta_end = 0.02;
  options.sampler.sampler = is_ddpm(config, where) ? "ddpm" : "ddim";
  options.sampler.timestep_spacing = "leading";
  options.sampler.steps_offset = 0;
  const bool is_pndm = config.is_object() && config.value("_class_name", "") == "PNDMScheduler";
  options.sampler.set_alpha_to_one = !is_pndm;

  ModelConfigRules rules = scheduler_rules();
  rules.fixed.push_back({"variance_type", "fixed_small"});
  read_model_config(config, where, scheduler_fields(options), rules);
  return options;
}

}  // namespace

nlohmann::ordered_json scheduler_config(const DiffusionOptions& options,
                                        const SamplerOptions& sampler) {
  SchedulerOptions shared{options, sampler};
  return model_config_to_json("DDIMScheduler", scheduler_fields(shared), scheduler_rules());
}

DiffusionOptions read_scheduler_config(const nlohmann::json& config, const std::string& where) {
  return read_scheduler(config, where).diffusion;
}

SamplerOptions read_sampler_options(const nlohmann::json& config, const std::string& where) {
  return read_scheduler(config, where).sampler;
}

}  // namespace crescendo::diffusion
