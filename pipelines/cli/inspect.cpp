#include "pipelines/inspect.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/number_checks.h"

namespace crescendo::cli {

namespace {

struct Flags {
  pipelines::InspectRequest request;
  bool json = false;
  bool list = false;
};

// Names need not be UTF-8, JSON must.
std::string dump(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void run(const Flags& flags) {
  if (flags.list) {
    pipelines::list_samples(pipelines::find_shards(flags.request.targets),
                            [](const auto& entry) { fmt::print("{}\n", dump(entry, -1)); });
    return;
  }
  const nlohmann::ordered_json report = pipelines::inspect(flags.request);
  fmt::print("{}", flags.json ? dump(report, 2) + "\n" : pipelines::report_to_text(report));
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("inspect", "Tell what is in shards, a model or a run, and what is wrong");
  const auto flags = std::make_shared<Flags>();
  pipelines::ShardInspection& shards = flags->request.shards;
  command
      ->add_option("TARGET", flags->request.targets,
                   "shards (paths, brace lists, globs or their folder), a model folder, a run, the "
                   "nonfinite/ dump of one, or a .safetensors file")
      ->required();
  command->add_flag("--decode", shards.decode,
                    "decode every image of the shards (otherwise their headers are read)");
  command->add_option("--tokenizer", shards.tokenizer,
                      "folder of a tokenizer, to count the tokens of captions");
  command->add_option("--max-length", shards.max_length, "tokens that the text encoder will take")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--contact-sheet", shards.contact_sheet,
                      "PNG to write: 48 of the images, the same for the same samples");
  command->add_flag("--json", flags->json, "print JSON");
  command->add_flag("--list", flags->list,
                    "print a line of JSON a sample instead: shard, key, suffix, size and CRC-32 of "
                    "each member");
  command->footer(
      "Examples:\n"
      "  crescendo inspect 'shards/train-{000..009}.tar' --decode\n"
      "  crescendo inspect v1-5-pruned.safetensors\n"
      "  crescendo inspect shards/ --contact-sheet sheet.png --tokenizer my-model/tokenizer\n"
      "  crescendo inspect runs/emoji --json");
  command->callback([flags] { run(*flags); });
}

}  // namespace crescendo::cli
