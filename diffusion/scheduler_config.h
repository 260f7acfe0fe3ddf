#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "diffusion/options.h"

namespace crescendo::diffusion {

// scheduler/scheduler_config.json of a diffusers folder: how the model was trained and how
// diffusers samples from it. Loss weightings have no place in it.

/// The configuration of diffusers' scheduler that samples as we do with `sampler`, a DDIMScheduler
/// for ddim and ddpm: clip_sample is false, because clipping to [-1, 1] ruins latents. A model of
/// another formulation has one class whatever the sampler, EDMEulerScheduler or
/// FlowMatchEulerDiscreteScheduler, which is read back as euler.
nlohmann::ordered_json scheduler_config(const DiffusionOptions& options,
                                        const SamplerOptions& sampler = {});

/// Reads the noise schedule and prediction type from the configuration of a DDIM, DDPM, PNDM,
/// Euler, Euler ancestral, Heun, DPM-Solver++ (2M), EDM Euler or flow-match Euler scheduler. An
/// absent key has diffusers' default, which is not ours. `where` names the file in errors. Throws
/// UserError for what is not supported.
DiffusionOptions read_scheduler_config(const nlohmann::json& config, const std::string& where);

/// Reads the sampler, its scheduler and timestep spacing from the same file; "ddim" for PNDM.
SamplerOptions read_sampler_options(const nlohmann::json& config, const std::string& where);

}  // namespace crescendo::diffusion
