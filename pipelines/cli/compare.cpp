#include "pipelines/compare.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

void add_compare(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("compare", "Compare runs by their held-out losses, seeds taken together");
  const auto request = std::make_shared<pipelines::CompareRequest>();
  command
      ->add_option("RUN", request->runs,
                   "folders of runs with [validation], finished or not; those that differ in the "
                   "seed alone are one arm")
      ->required();
  command->add_option("-o,--out", request->page, "HTML page to write, which needs no other file");
  command->add_option("--json", request->json, "JSON file to write");
  command->footer(
      "Examples:\n"
      "  crescendo compare runs/baseline-* runs/curriculum-* -o compare.html\n"
      "  crescendo compare runs/a runs/b --json compare.json");
  command->callback([request] { fmt::print("{}", pipelines::compare(*request)); });
}

}  // namespace crescendo::cli
