#include "pipelines/index.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

void add_index(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "index", "Put an index beside plain tar shards, so that they can be read at random");
  const auto request = std::make_shared<pipelines::IndexRequest>();
  command
      ->add_option("SHARDS", request->shards,
                   "tar shards: paths, brace lists, globs, @FILE with one of these a line")
      ->required();
  command->add_flag("--force", request->force, "anew, where an index is there");
  command->footer(
      "Where every shard has its index, `train` shuffles all samples as a whole and resumes\n"
      "without reading anything again. Compressed shards cannot be read at random.\n"
      "Examples:\n"
      "  crescendo index 'shards/train-{000..009}.tar'");
  command->callback([request] {
    const pipelines::IndexResult result = pipelines::index_shards(*request);
    fmt::print("indexed {} shards, {} had an index; {} samples\n", result.indexed, result.kept,
               result.samples);
  });
}

}  // namespace crescendo::cli
