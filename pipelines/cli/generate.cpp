#include "pipelines/generate.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
#include "pipelines/cli/commands.h"

namespace crescendo::cli {

namespace {

/// The lines of a file ("-": standard input) that are not empty.
std::vector<std::string> read_prompts(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw UserError("--prompt-file: {}: cannot be read", path);
  }
  std::istream& stream = path == "-" ? std::cin : file;
  std::vector<std::string> prompts;
  for (std::string line; std::getline(stream, line);) {
    if (!trim(line).empty()) prompts.emplace_back(trim(line));
  }
  return prompts;
}

/// FILE or FILE:WEIGHT; the whole is the file where there is one of that name.
pipelines::LoraChoice parse_lora(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text};
  pipelines::LoraChoice lora{text.substr(0, colon)};
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + colon + 1, end, lora.weight);
  if (error != std::errc() || last != end || !std::isfinite(lora.weight)) return {text};
  return lora;
}

void add_sampling_options(CLI::App& command, pipelines::GenerateRequest& request) {
  command.add_option("--steps", request.steps, "denoising steps [50]")->check(CLI::PositiveNumber);
  command.add_option("--cfg-scale", request.cfg_scale, "classifier-free guidance; 1 is none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--sampling-method,--sampler", request.sampler, "as the model says")
      ->check(
          CLI::IsMember({"ddim", "ddpm", "euler", "euler_a", "heun", "dpm++2m", "dpm++2m_sde"}));
  command.add_option("--scheduler", request.scheduler, "how noise falls, for euler to dpm++2m_sde")
      ->check(CLI::IsMember({"discrete", "karras", "exponential"}));
  command.add_option("--eta", request.eta, "fresh noise of each ddim step: 0 none, 1 as ddpm")
      ->check(CLI::Range(0.0, 1.0));
}

void add_memory_flags(CLI::App& command, pipelines::GenerateRequest& request) {
  command.add_flag("--vae-tiling", request.vae_tiling,
                   "decode in overlapping tiles: large pictures in little memory, seams may show");
  command.add_flag("--vae-slicing", request.vae_slicing,
                   "decode one picture of a batch at a time, for less memory");
}

}  // namespace

void add_generate(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "Draw pictures with a model");
  const auto request = std::make_shared<pipelines::GenerateRequest>();
  const auto prompt_file = std::make_shared<std::string>();
  command->add_option("-m,--model", request->model, "model folder, or a run")->required();
  command
      ->add_option_function<std::vector<std::string>>(
          "--lora",
          [request](const std::vector<std::string>& choices) {
            for (const std::string& choice : choices) request->loras.push_back(parse_lora(choice));
          },
          "FILE or FILE:WEIGHT, a LoRA of diffusers or kohya to add to the model, or a folder with "
          "pytorch_lora_weights.safetensors; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("-p,--prompt", request->prompts, "may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--prompt-file", *prompt_file, "a prompt a line; - is standard input");
  command->add_option("-n,--negative-prompt", request->negative_prompt,
                      "what guidance leads away from");
  command->add_option("--label,--class", request->labels,
                      "number or name of a class; may be repeated");
  command
      ->add_option("-o,--output", request->output,
                   "FILE.png: the picture, or a grid of all; else a folder of pictures")
      ->required();
  command->add_option("-b,--batch-count", request->batch_count, "pictures of each prompt")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("-s,--seed", request->seed,
                   "of the first picture of each prompt; the next has seed + 1")
      ->capture_default_str();
  command->add_option("--latents", request->latents,
                      "safetensors file with a tensor 'latents' [N,C,h,w] to begin from instead");
  command->add_option("-W,--width", request->width, "pixels, as trained if not given")
      ->check(CLI::PositiveNumber);
  command->add_option("-H,--height", request->height, "pixels, as trained if not given")
      ->check(CLI::PositiveNumber);
  add_sampling_options(*command, *request);
  command->add_option("--batch-size", request->batch_size, "pictures drawn at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--columns", request->columns, "of the grid; 0: near to a square")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--dtype", request->dtype, "of U-Net and text encoder")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  add_memory_flags(*command, *request);
  command->add_option("--device", request->device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  crescendo generate -m runs/emoji/model -p \"red heart\" -o heart.png\n"
      "  crescendo generate -m runs/emoji -p ghost -p skull -b 4 --columns 4 -o grid.png\n"
      "  crescendo generate -m models/sd15 --lora style.safetensors:0.8 -p \"a fox\" -o fox.png\n"
      "  crescendo generate -m runs/classes --label 3 --label flags -b 8 -o pictures/");
  command->callback([request, prompt_file] {
    if (!prompt_file->empty()) {
      for (std::string& prompt : read_prompts(*prompt_file)) {
        request->prompts.push_back(std::move(prompt));
      }
    }
    for (const auto& file : pipelines::generate(*request)) fmt::print("{}\n", file.string());
  });
}

}  // namespace crescendo::cli
