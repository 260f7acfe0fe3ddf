#include "pipelines/generate.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
#include "diffusion/options.h"
#include "pipelines/cli/commands.h"
#include "pipelines/cli/lora_option.h"
#include "pipelines/cli/templates_folder.h"
#include "pipelines/replay.h"

namespace crescendo::cli {

namespace {

using pipelines::GenerateRequest;

/// The lines of a file ("-": standard input) that are not empty.
std::vector<std::string> read_prompts(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw UserError("--prompts-file: {}: cannot be read", path);
  }
  std::istream& stream = path == "-" ? std::cin : file;
  std::vector<std::string> prompts;
  for (std::string line; std::getline(stream, line);) {
    if (!trim(line).empty()) prompts.emplace_back(trim(line));
  }
  return prompts;
}

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

void add_model_options(CLI::App& command, GenerateRequest& request) {
  command.add_option(
      "-m,--model", request.model,
      "model folder, a run (its model/, or the average of its newest checkpoint), or a "
      "Stable Diffusion 1.x or 2.x .safetensors file");
  command.add_option("--config", request.config,
                     "diffusers folder with what a single file does not hold, as for convert");
  add_lora_option(command, request.loras);
  command.add_option("--dtype", request.dtype, "of U-Net and text encoder")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  command.add_flag("--vae-tiling", request.vae_tiling,
                   "decode in overlapping tiles: large pictures in little memory, seams may show");
  command.add_flag("--vae-slicing", request.vae_slicing,
                   "decode one picture of a batch at a time, for less memory");
  command.add_option("--device", request.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
}

void add_picture_options(CLI::App& command, GenerateRequest& request, std::string& prompts_file) {
  command.add_option("-p,--prompt", request.prompts, "may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--prompts-file,--prompt-file", prompts_file,
                     "a prompt a line; - is standard input");
  command.add_option("-n,--negative-prompt", request.negative_prompt,
                     "what guidance leads away from");
  command.add_option("--label,--class", request.labels,
                     "number or name of a class; may be repeated");
  command.add_option("-b,--batch-count", request.batch_count, "pictures of each prompt")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("-s,--seed", request.seed,
                  "of the first picture of each prompt; the next has seed + 1")
      ->capture_default_str();
  command.add_option("--latents", request.latents,
                     "safetensors file with a tensor 'latents' [N,C,h,w] to begin from instead");
  command.add_option("-W,--width", request.width, "pixels; of --init-img, or as trained")
      ->check(CLI::PositiveNumber);
  command.add_option("-H,--height", request.height, "pixels; of --init-img, or as trained")
      ->check(CLI::PositiveNumber);
  command.add_option("-i,--init-img", request.init_image,
                     "picture to begin from; -W and -H resize it and cut its middle");
  command
      .add_option("--strength", request.strength,
                  "how far from it, (0, 1]: share of the steps that are taken")
      ->capture_default_str();
  command.add_option("--mask", request.mask,
                     "picture of the size of --init-img: white is drawn anew, black stays");
}

void add_sampling_options(CLI::App& command, GenerateRequest& request) {
  command.add_option("--steps", request.steps, "denoising steps [50]")->check(CLI::PositiveNumber);
  command.add_option("--cfg-scale", request.cfg_scale, "classifier-free guidance; 1 is none")
      ->check(CLI::NonNegativeNumber)
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
  command.add_option("--batch-size", request.batch_size, "pictures drawn at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

void add_output_options(CLI::App& command, GenerateRequest& request) {
  command
      .add_option(
          "-o,--output", request.output,
          "FILE.png, .jpg or .webp: the picture, or a grid of all; with %d (%03d), {seed} or "
          "{prompt} in it a file of each; else a folder of them")
      ->required();
  command.add_option("--grid", request.grid, "FILE: also all of them in one picture");
  command.add_option("--columns", request.columns, "of a grid; 0: near to a square")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--quality", request.quality, "of JPEG and WebP")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--preview", request.preview,
                     "FILE: a coarse picture of how far the drawing is, again and again");
  command.add_option("--preview-every", request.preview_every, "steps")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

}  // namespace

void add_generate(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Draw pictures with a model");
  const auto request = std::make_shared<GenerateRequest>();
  const auto prompts_file = std::make_shared<std::string>();
  // First: flags take effect in the order in which they are declared, and the others override it.
  command->add_option_function<std::string>(
      "--from-image",
      [request](const std::string& png) { *request = pipelines::request_of_picture(png); },
      "PNG drawn before: everything as for that one, but for the flags beside it");
  add_model_options(*command, *request);
  add_picture_options(*command, *request, *prompts_file);
  add_sampling_options(*command, *request);
  add_output_options(*command, *request);
  command->footer(
      "Examples:\n"
      "  crescendo generate -m runs/emoji/model -p \"red heart\" -o heart.png\n"
      "  crescendo generate -m runs/emoji -p ghost -p skull -b 4 --columns 4 -o grid.png\n"
      "  crescendo generate -m models/sd15 --lora style.safetensors:0.8 -p \"a fox\" -o fox.png\n"
      "  crescendo generate -m v1-5-pruned.safetensors -p \"a fox\" -b 9 -o 'fox-{seed}.jpg'\n"
      "  crescendo generate -m models/sd15 -i photo.jpg --strength 0.6 -p \"a fox\" -o fox.png\n"
      "  crescendo generate --from-image fox.png --steps 80 -o finer.png\n"
      "  crescendo generate -m runs/classes --label 3 --label flags -b 8 -o pictures/");
  command->callback([request, prompts_file] {
    if (!prompts_file->empty()) {
      for (std::string& prompt : read_prompts(*prompts_file)) {
        request->prompts.push_back(std::move(prompt));
      }
    }
    if (request->model.empty()) {
      throw UserError("--model: expected a model folder, a run or a .safetensors file, found none");
    }
    request->templates = templates_folder();
    for (const auto& file : pipelines::generate(*request)) fmt::print("{}\n", file.string());
  });
}

}  // namespace crescendo::cli
