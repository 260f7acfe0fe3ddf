#include "pipelines/evaluate.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

namespace {

using pipelines::EvaluateRequest;

void add_sets(CLI::App& command, EvaluateRequest& request) {
  command.add_option("--images,--shards", request.images,
                     "what to judge: a folder of images (jpg, png, webp), or shards, quoted");
  command.add_option("--reference", request.reference,
                     "what to compare with: a folder of images, shards, or FILE.npz of statistics "
                     "(mu, sigma)");
  command
      .add_option("--samples", request.samples,
                  "no more images than so many: of a folder a random part, of shards the first")
      ->check(CLI::PositiveNumber);
  command.add_option("--seed", request.seed, "of that choice and of the interval")
      ->capture_default_str();
}

void add_network(CLI::App& command, EvaluateRequest& request) {
  command
      .add_option("--features", request.features,
                  "the network whose features are compared: FID's Inception-v3 as .safetensors, or "
                  "a TorchScript file")
      ->required();
  command
      .add_option(
          "--resize", request.resize,
          "how images come to the Inception's 299 x 299: clean (as clean-fid) [default], "
          "legacy-tf (as torch-fidelity and the first FID), bilinear (as pytorch-fid), none")
      ->check(CLI::IsMember({"clean", "legacy-tf", "bilinear", "none"}));
  command.add_option("--batch-size", request.batch_size, "images at a time through the network")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--device", request.device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
}

void add_metrics(CLI::App& command, EvaluateRequest& request) {
  command
      .add_option("--metrics", request.metrics,
                  fmt::format("some of {}, with commas [fid]",
                              fmt::join(pipelines::evaluation_metrics(), ", ")))
      ->delimiter(',');
  command
      .add_option("--kid-subsets", request.kid.subsets,
                  "subsets whose distances KID is the mean of")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--kid-subset-size", request.kid.subset_size, "images of each")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--bootstrap", request.resamples,
                  "resamples for the 95 % interval of the FID of less than 10000 images; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "Compare images with a reference: FID, KID, precision, recall, Inception Score");
  const auto request = std::make_shared<EvaluateRequest>();
  add_sets(*command, *request);
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
      "  crescendo evaluate --images drawn/ --reference photos/ --metrics fid,kid,precision,recall "
      "--features inception.safetensors");
  command->callback(
      [request] { fmt::print("{}", pipelines::to_text(pipelines::evaluate(*request))); });
}

}  // namespace crescendo::cli
