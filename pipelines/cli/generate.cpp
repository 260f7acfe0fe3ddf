#include "pipelines/generate.h"

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "pipelines/cli/commands.h"
#include "pipelines/cli/drawing_options.h"
#include "pipelines/cli/number_checks.h"
#include "pipelines/cli/templates_folder.h"
#include "pipelines/replay.h"

namespace crescendo::cli {

namespace {

using pipelines::GenerateRequest;

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
      ->check(positive())
      ->capture_default_str();
  command
      .add_option("-s,--seed", request.seed,
                  "of the first picture of each prompt; the next has seed + 1")
      ->capture_default_str();
  command.add_option("--latents", request.latents,
                     "safetensors file with a tensor 'latents' [N,C,h,w] to begin from instead");
  command.add_option("-W,--width", request.width, "pixels; of --init-img, or as trained")
      ->check(positive());
  command.add_option("-H,--height", request.height, "pixels; of --init-img, or as trained")
      ->check(positive());
  command.add_option("-i,--init-img", request.init_image,
                     "picture to begin from; -W and -H resize it and cut its middle");
  command
      .add_option("--strength", request.strength,
                  "how far from it, (0, 1]: share of the steps that are taken")
      ->capture_default_str();
  command.add_option("--mask", request.mask,
                     "picture of the size of --init-img: white is drawn anew, black stays");
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
      ->check(non_negative())
      ->capture_default_str();
  command.add_option("--quality", request.quality, "of JPEG and WebP")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--preview", request.preview,
                     "FILE: a coarse picture of how far the drawing is, again and again");
  command.add_option("--preview-every", request.preview_every, "steps")
      ->check(positive())
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
      [request](const std::string& picture) { *request = pipelines::request_of_picture(picture); },
      "picture drawn before, also by AUTOMATIC1111: everything as it tells of itself, but for the "
      "flags beside it");
  add_model_options(*command, request->model);
  command->add_option("--device", request->device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
  add_picture_options(*command, *request, *prompts_file);
  add_sampling_options(*command, *request);
  command->add_option("--batch-size", request->batch_size, "pictures drawn at a time")
      ->check(positive())
      ->capture_default_str();
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
      for (std::string& prompt : read_lines(*prompts_file, "--prompts-file")) {
        request->prompts.push_back(std::move(prompt));
      }
    }
    if (request->model.path.empty()) {
      throw UserError("--model: expected a model folder, a run or a .safetensors file, found none");
    }
    request->model.templates = templates_folder();
    for (const auto& file : pipelines::generate(*request)) fmt::print("{}\n", file.string());
  });
}

}  // namespace crescendo::cli
