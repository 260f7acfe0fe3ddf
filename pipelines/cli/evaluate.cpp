#include "pipelines/evaluate.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/drawing_options.h"
#include "pipelines/cli/number_checks.h"
#include "pipelines/cli/templates_folder.h"
#include "pipelines/evaluation/metrics.h"

namespace crescendo::cli {

namespace {

using pipelines::EvaluateRequest;

void add_sets(CLI::App& command, EvaluateRequest& request) {
  command.add_option(
      "--images,--shards", request.images,
      "what to judge, if no --model draws it: a folder of images (jpg, png, webp), or "
      "shards, quoted");
  command.add_option("--reference", request.reference,
                     "what to compare with: a folder of images, shards, or FILE.npz of statistics "
                     "(mu, sigma)");
  command
      .add_option("--samples", request.samples,
                  "images to draw [50000]; of given ones no more than so many: of a folder a "
                  "random part, of shards the first")
      ->check(positive());
  command
      .add_option("-s,--seed", request.seed,
                  "image k is drawn with seed + k; also of what is chosen, and of the interval")
      ->capture_default_str();
}

void add_drawing(CLI::App& command, EvaluateRequest& request, std::string& prompts_file) {
  request.drawing.cfg_scale = 1;
  add_model_options(command, request.drawing.model);
  command.add_option("--prompts-file,--prompt-file", prompts_file,
                     "for --model: a prompt a line, or a class; - is standard input [those of the "
                     "reference, or all classes in turn]");
  command.add_option("-W,--width", request.drawing.width, "pixels; as trained")->check(positive());
  command.add_option("-H,--height", request.drawing.height, "pixels; as trained")
      ->check(positive());
  add_sampling_options(command, request.drawing);
  command.add_option("--save-images", request.save_images,
                     "FOLDER: keep what is drawn; called again, only what is missing is drawn");
}

void add_network(CLI::App& command, EvaluateRequest& request) {
  command
      .add_option("--features", request.features,
                  "the network whose features are compared: FID's Inception-v3 as .safetensors, or "
                  "a TorchScript file, or the folder of a CLIP model")
      ->required();
  command
      .add_option(
          "--resize", request.resize,
          "how images come to the Inception's 299 x 299: clean (as clean-fid) [default], "
          "legacy-tf (as torch-fidelity and the first FID), bilinear (as pytorch-fid), none")
      ->check(CLI::IsMember({"clean", "legacy-tf", "bilinear", "none"}));
  command.add_option("--batch-size", request.batch_size, "images at a time, drawn and looked at")
      ->check(positive())
      ->capture_default_str();
  command.add_option("--device", request.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
}

void add_metrics(CLI::App& command, EvaluateRequest& request) {
  command
      .add_option(
          "--metrics", request.metrics,
          fmt::format("some of {}, with commas [fid]", fmt::join(pipelines::metric_names(), ", ")))
      ->delimiter(',');
  command.add_option("--clip", request.clip,
                     "for the metric clip: folder of a CLIP model, as transformers saves it");
  command
      .add_option("--kid-subsets", request.kid.subsets,
                  "subsets whose distances KID is the mean of")
      ->check(positive())
      ->capture_default_str();
  command.add_option("--kid-subset-size", request.kid.subset_size, "images of each")
      ->check(positive())
      ->capture_default_str();
  command
      .add_option("--bootstrap", request.resamples,
                  "resamples for the 95 % interval of the FID of less than 10000 images; 0: none")
      ->check(non_negative())
      ->capture_default_str();
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "Compare images, or those that a model draws, with a reference: FID and its kin");
  const auto request = std::make_shared<EvaluateRequest>();
  const auto prompts_file = std::make_shared<std::string>();
  add_sets(*command, *request);
  add_drawing(*command, *request, *prompts_file);
  add_network(*command, *request);
  add_metrics(*command, *request);
  command->add_option("--save-statistics", request->save_statistics,
                      "FILE.npz: the reference's statistics, to be the --reference of later calls");
  command->add_option("-o,--output", request->output,
                      "FILE.json: all numbers, with everything that they depend on");
  command->footer(
      "Prints a line a metric with what a paper must tell: samples, network, resize, hashes.\n"
      "docs/evaluation.md tells where the Inception's weights come from.\n"
      "Examples:\n"
      "  crescendo evaluate --images drawn/ --reference 'shards/*.tar' --features "
      "inception.safetensors\n"
      "  crescendo evaluate --reference photos/ --save-statistics photos.npz --features "
      "inception.safetensors\n"
      "  crescendo evaluate --images drawn/ --reference photos.npz --features "
      "inception.safetensors -o fid.json\n"
      "  crescendo evaluate -m runs/mine --samples 10000 --reference 'shards/*.tar' --features "
      "inception.safetensors\n"
      "  crescendo evaluate --images drawn/ --reference photos/ --metrics fid,kid,precision,recall "
      "--features inception.safetensors");
  command->callback([request, prompts_file] {
    if (!prompts_file->empty()) request->subjects = read_lines(*prompts_file, "--prompts-file");
    request->drawing.model.templates = templates_folder();
    fmt::print("{}", pipelines::to_text(pipelines::evaluate(*request)));
  });
}

}  // namespace crescendo::cli
