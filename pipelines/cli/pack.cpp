#include "pipelines/pack.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

void add_pack(CLI::App& app) {
  CLI::App* command = app.add_subcommand("pack", "Pack a folder of pictures into tar shards");
  const auto request = std::make_shared<pipelines::PackRequest>();
  command
      ->add_option("SRC", request->source,
                   "folder of jpg, png or webp, captions in files beside them; its sub-folders "
                   "are the classes")
      ->required();
  command->add_option("-o,--out", request->output, "folder for the shards")->required();
  command->add_option("--caption-extension", request->caption_extension, "of the caption files")
      ->capture_default_str();
  command->add_option("--max-samples", request->max_samples, "samples a shard")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--max-bytes", request->max_bytes, "bytes a shard, about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("-s,--seed", request->seed, "of the order of the samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  crescendo pack photos/ --out shards/\n"
      "  crescendo pack imagenet/train --out shards/ --max-samples 1000");
  command->callback([request] {
    const pipelines::PackResult result = pipelines::pack(*request);
    fmt::print("packed {} samples into {} shards\n", result.samples, result.shards.size());
    for (const auto& shard : result.shards) fmt::print("{}\n", shard.string());
    if (result.class_names.empty()) return;
    fmt::print("for a class-conditional config:\n[data]\nclass_names = [\"{}\"]\n",
               fmt::join(result.class_names, "\", \""));
  });
}

}  // namespace crescendo::cli
