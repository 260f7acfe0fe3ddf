#include "pipelines/cli/drawing_options.h"

#include <algorithm>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
#include "diffusion/options.h"
#include "pipelines/cli/lora_option.h"
#include "pipelines/cli/number_checks.h"

namespace crescendo::cli {

namespace {

using pipelines::GenerateRequest;

/// What a field of [sample] may be.
std::vector<std::string> choices_of(const char* name) {
  diffusion::SamplerOptions options;
  for (const Field& field : diffusion::fields(options)) {
    if (field.name == name) return field.choices;
  }
  throw Error(fmt::format("sample.{}: no such field", name));
}

/// One flag for both ways of choosing the steps: by a curve of sigma, or by where the timesteps of
/// the schedule are.
void add_scheduler_option(CLI::App& command, GenerateRequest& request) {
  std::vector<std::string> choices = choices_of("scheduler");
  const std::vector<std::string> spacings = choices_of("timestep_spacing");
  choices.emplace_back("uniform");
  choices.insert(choices.end(), spacings.begin(), spacings.end());
  command
      .add_option_function<std::string>(
          "--scheduler",
          [&request, spacings](const std::string& name) {
            const bool is_spacing = std::ranges::find(spacings, name) != spacings.end();
            request.scheduler = is_spacing || name == "uniform" ? "discrete" : name;
            if (is_spacing) request.timestep_spacing = name;
          },
          "how noise falls: karras or exponential, for euler to dpm++2m_sde; trailing, leading or "
          "linspace timesteps; discrete or uniform, those that the model says")
      ->check(CLI::IsMember(choices));
}

}  // namespace

CLI::Option* add_model_options(CLI::App& command, pipelines::ModelChoice& choice) {
  CLI::Option* model = command.add_option(
      "-m,--model", choice.path,
      "model folder, a run (its model/, or the average of its newest checkpoint), or a "
      "Stable Diffusion 1.x or 2.x .safetensors file");
  command.add_option("--config", choice.config,
                     "diffusers folder with what a single file does not hold, as for convert");
  add_lora_option(command, choice.loras);
  command.add_option("--dtype", choice.dtype, "of U-Net and text encoder")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  command.add_flag("--vae-tiling", choice.vae_tiling,
                   "decode in overlapping tiles: large pictures in little memory, seams may show");
  command.add_flag("--vae-slicing", choice.vae_slicing,
                   "decode one picture of a batch at a time, for less memory");
  return model;
}

void add_sampling_options(CLI::App& command, GenerateRequest& request) {
  command.add_option("--steps", request.steps, "denoising steps [50]")->check(positive());
  command.add_option("--cfg-scale", request.cfg_scale, "classifier-free guidance; 1 is none")
      ->check(non_negative())
      ->capture_default_str();
  command
      .add_option_function<std::vector<double>>(
          "--guidance-interval",
          [&request](const std::vector<double>& bounds) {
            request.guidance_start = bounds.at(0);
            request.guidance_end = bounds.at(1);
          },
          "LO,HI: guidance only from this share of the steps to that one [0,1]")
      ->delimiter(',')
      ->expected(2);
  command
      .add_option("--guidance-rescale", request.guidance_rescale,
                  "take back the contrast that guidance adds: 0 none, 0.7 usual, 1 all")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--sampling-method,--sampler", request.sampler, "as the model says")
      ->check(CLI::IsMember(choices_of("sampler")));
  add_scheduler_option(command, request);
  command.add_option("--eta", request.eta, "fresh noise of each ddim step: 0 none, 1 as ddpm")
      ->check(CLI::Range(0.0, 1.0));
}

std::vector<std::string> read_lines(const std::string& path, const char* flag) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw UserError("{}: {}: cannot be read", flag, path);
  }
  std::istream& stream = path == "-" ? std::cin : file;
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    if (!trim(line).empty()) lines.emplace_back(trim(line));
  }
  return lines;
}

}  // namespace crescendo::cli
