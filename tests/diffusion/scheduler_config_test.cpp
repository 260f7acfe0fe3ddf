#include "diffusion/scheduler_config.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::diffusion {
namespace {

constexpr const char* kWhere = "scheduler/scheduler_config.json";

std::string error_of(const nlohmann::json& config) {
  return error_text([&] { read_scheduler_config(config, kWhere); });
}

TEST(SchedulerConfigTest, WrittenIsReadBack) {
  const DiffusionOptions options{.num_train_timesteps = 500,
                                 .beta_schedule = "linear",
                                 .beta_start = 0.001,
                                 .beta_end = 0.03,
                                 .prediction_type = "v_prediction"};
  const SamplerOptions sampler{.timestep_spacing = "linspace", .set_alpha_to_one = false};
  const nlohmann::json config = scheduler_config(options, sampler);
  EXPECT_EQ(
      scheduler_config(read_scheduler_config(config, kWhere), read_sampler_options(config, kWhere)),
      scheduler_config(options, sampler));
  EXPECT_EQ(read_scheduler_config(config, kWhere).prediction_type, "v_prediction");
  EXPECT_EQ(read_sampler_options(config, kWhere).timestep_spacing, "linspace");
}

TEST(SchedulerConfigTest, EverySamplerIsWrittenAsItsOwnClassAndReadBack) {
  const std::map<std::string, std::string> classes{{"ddim", "DDIMScheduler"},
                                                   {"euler", "EulerDiscreteScheduler"},
                                                   {"euler_a", "EulerAncestralDiscreteScheduler"},
                                                   {"heun", "HeunDiscreteScheduler"},
                                                   {"dpm++2m", "DPMSolverMultistepScheduler"},
                                                   {"dpm++2m_sde", "DPMSolverMultistepScheduler"}};
  const DiffusionOptions zero_snr{.prediction_type = "v_prediction",
                                  .rescale_betas_zero_snr = true};
  for (const auto& [sampler, name] : classes) {
    for (const char* scheduler : {"discrete", "karras", "exponential"}) {
      SamplerOptions options{.sampler = sampler, .timestep_spacing = "leading", .steps_offset = 7};
      if (options.uses_sigmas() && sampler != "euler_a") options.scheduler = scheduler;
      const nlohmann::json config = scheduler_config(zero_snr, options);
      EXPECT_EQ(config["_class_name"], name);
      const SamplerOptions read = read_sampler_options(config, kWhere);
      EXPECT_EQ(read.sampler, sampler);
      EXPECT_EQ(read.scheduler, options.scheduler) << sampler;
      EXPECT_EQ(read.timestep_spacing, "leading");
      EXPECT_EQ(read.steps_offset, 7);
      EXPECT_TRUE(read_scheduler_config(config, kWhere).rescale_betas_zero_snr);
    }
  }
}

TEST(SchedulerConfigTest, EdmAndFlowMatchingHaveTheirOwnClasses) {
  const nlohmann::json edm =
      scheduler_config({.formulation = "edm", .sigma_data = 0.7}, {.sampler = "heun",
                                                                   .scheduler = "exponential",
                                                                   .sigma_min = 0.01,
                                                                   .sigma_max = 60,
                                                                   .rho = 5});
  EXPECT_EQ(edm, nlohmann::json::parse(R"({
      "_class_name": "EDMEulerScheduler", "num_train_timesteps": 1000, "sigma_data": 0.7,
      "sigma_min": 0.01, "sigma_max": 60.0, "rho": 5.0, "sigma_schedule": "exponential",
      "prediction_type": "epsilon", "final_sigmas_type": "zero"})"));
  EXPECT_EQ(read_scheduler_config(edm, kWhere).formulation, "edm");
  EXPECT_EQ(read_scheduler_config(edm, kWhere).sigma_data, 0.7);
  const SamplerOptions sampler = read_sampler_options(edm, kWhere);
  EXPECT_EQ(sampler.sampler, "euler");
  EXPECT_EQ(sampler.scheduler, "exponential");
  EXPECT_EQ(sampler.sigma_max, 60);

  const nlohmann::json flow =
      scheduler_config({.formulation = "flow_matching", .shift = 3}, {.sampler = "euler"});
  EXPECT_EQ(flow["_class_name"], "FlowMatchEulerDiscreteScheduler");
  EXPECT_EQ(flow["shift"], 3.0);
  EXPECT_FALSE(flow.contains("trained_betas"));
  EXPECT_EQ(read_scheduler_config(flow, kWhere).formulation, "flow_matching");
  EXPECT_EQ(read_scheduler_config(flow, kWhere).shift, 3);
  EXPECT_NO_THROW(
      check_fit(read_scheduler_config(flow, kWhere), read_sampler_options(flow, kWhere)));
}

TEST(SchedulerConfigTest, IsADdimSchedulerThatDoesNotClip) {
  const nlohmann::json config = scheduler_config({});
  EXPECT_EQ(config, nlohmann::json::parse(R"({
      "_class_name": "DDIMScheduler", "num_train_timesteps": 1000,
      "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
      "prediction_type": "epsilon", "timestep_spacing": "trailing", "steps_offset": 1,
      "set_alpha_to_one": true, "clip_sample": false, "thresholding": false,
      "rescale_betas_zero_snr": false, "trained_betas": null})"));
}

TEST(SchedulerConfigTest, ReadsAPublishedConfig) {
  const nlohmann::json config = nlohmann::json::parse(R"({
      "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_end": 0.012,
      "beta_schedule": "scaled_linear", "beta_start": 0.00085, "num_train_timesteps": 1000,
      "set_alpha_to_one": false, "skip_prk_steps": true, "steps_offset": 1,
      "trained_betas": null, "clip_sample": false})");
  const DiffusionOptions options = read_scheduler_config(config, kWhere);
  EXPECT_EQ(options.beta_schedule, "scaled_linear");
  EXPECT_EQ(options.prediction_type, "epsilon");
  const SamplerOptions sampler = read_sampler_options(config, kWhere);
  EXPECT_EQ(sampler.sampler, "ddim");
  EXPECT_EQ(sampler.timestep_spacing, "leading");
  EXPECT_EQ(sampler.steps_offset, 1);
  EXPECT_FALSE(sampler.set_alpha_to_one);
}

TEST(SchedulerConfigTest, AbsentKeysHaveTheReferencesDefaults) {
  const nlohmann::json config = {{"_class_name", "DDPMScheduler"}};
  const DiffusionOptions options = read_scheduler_config(config, kWhere);
  EXPECT_EQ(options.beta_schedule, "linear");
  EXPECT_EQ(options.beta_start, 0.0001);
  EXPECT_EQ(options.beta_end, 0.02);
  const SamplerOptions sampler = read_sampler_options(config, kWhere);
  EXPECT_EQ(sampler.sampler, "ddpm");
  EXPECT_EQ(sampler.timestep_spacing, "leading");
  EXPECT_EQ(sampler.steps_offset, 0);
  const auto ends_at_no_noise = [](const char* class_name) {
    return read_sampler_options({{"_class_name", class_name}}, kWhere).set_alpha_to_one;
  };
  EXPECT_TRUE(ends_at_no_noise("DDIMScheduler"));
  EXPECT_FALSE(ends_at_no_noise("PNDMScheduler"));
}

TEST(SchedulerConfigTest, WhatIsNotSupportedIsNamed) {
  EXPECT_EQ(error_of({{"clip_sample", true}}),
            "scheduler/scheduler_config.json: clip_sample: only false is supported, found true");
  EXPECT_EQ(
      error_of({{"_class_name", "LMSDiscreteScheduler"}, {"use_karras_sigmas", true}}),
      "scheduler/scheduler_config.json: _class_name: expected one of DDIMScheduler, "
      "PNDMScheduler, DDPMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, "
      "HeunDiscreteScheduler, DPMSolverMultistepScheduler, EDMEulerScheduler, "
      "FlowMatchEulerDiscreteScheduler, found \"LMSDiscreteScheduler\"");
  EXPECT_EQ(error_of({{"_class_name", "DPMSolverMultistepScheduler"}, {"solver_order", 3}}),
            "scheduler/scheduler_config.json: solver_order: only 2 is supported, found 3");
  EXPECT_EQ(error_of({{"use_karras_sigmas", true}}),
            "scheduler/scheduler_config.json: use_karras_sigmas: unknown key");
  EXPECT_EQ(error_of({{"_class_name", "FlowMatchEulerDiscreteScheduler"},
                      {"use_dynamic_shifting", true}}),
            "scheduler/scheduler_config.json: use_dynamic_shifting: only false is supported, found "
            "true");
  EXPECT_EQ(error_of({{"beta_schedule", "sigmoid"}}),
            "scheduler/scheduler_config.json: beta_schedule: expected one of linear, "
            "scaled_linear, squaredcos_cap_v2, found \"sigmoid\"");
  EXPECT_EQ(error_of({{"loss_weighting", "p2"}}),
            "scheduler/scheduler_config.json: loss_weighting: unknown key");
  EXPECT_EQ(error_of(nlohmann::json::array()),
            "scheduler/scheduler_config.json: expected a JSON object, found array");
}

}  // namespace
}  // namespace crescendo::diffusion
