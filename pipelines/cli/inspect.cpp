#include "pipelines/inspect.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

void add_inspect(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("inspect", "Tell what is in shards, a model or a run, and what is wrong");
  const auto request = std::make_shared<pipelines::InspectRequest>();
  const auto json = std::make_shared<bool>(false);
  command
      ->add_option("TARGET", request->targets,
                   "shards (paths, brace lists, globs or their folder), a model folder, a run or a "
                   ".safetensors file")
      ->required();
  command->add_flag("--decode", request->decode, "also decode every image of the shards");
  command->add_flag("--json", *json, "print JSON");
  command->footer(
      "Examples:\n"
      "  crescendo inspect 'shards/train-{000..009}.tar' --decode\n"
      "  crescendo inspect v1-5-pruned.safetensors\n"
      "  crescendo inspect runs/emoji --json");
  command->callback([request, json] {
    const nlohmann::ordered_json report = pipelines::inspect(*request);
    fmt::print("{}", *json ? report.dump(2) + "\n" : pipelines::report_to_text(report));
  });
}

}  // namespace crescendo::cli
