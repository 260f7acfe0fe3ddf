#include "pipelines/config/config.h"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "core/text.h"
#include "pipelines/cli/commands.h"

namespace crescendo::cli {

namespace {

/// The section of that name and those nested in it.
std::vector<pipelines::Section> select(const std::vector<pipelines::Section>& all,
                                       const std::string& name) {
  std::vector<pipelines::Section> selected;
  std::vector<std::string> names;
  for (const pipelines::Section& section : all) {
    names.push_back(section.name);
    const bool nested = section.name.starts_with(name + ".");
    if (name.empty() || section.name == name || nested) selected.push_back(section);
  }
  if (!selected.empty()) return selected;
  throw UserError("config: unknown section [{}]; {}", name, suggest_name(name, names));
}

}  // namespace

void add_config(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("config", "Print every key of a config, with its default and meaning");
  const auto section = std::make_shared<std::string>();
  const auto job = std::make_shared<std::string>("train");
  command->add_option("SECTION", *section, "one section only");
  command->add_option("--job", *job, "whose config")
      ->check(CLI::IsMember({"train", "train-vae"}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  crescendo config > my.toml\n"
      "  crescendo config curriculum\n"
      "  crescendo config --job train-vae");
  command->callback([section, job] {
    pipelines::TrainConfig train;
    pipelines::TrainVaeConfig train_vae;
    const auto all = *job == "train" ? sections(train) : sections(train_vae);
    fmt::print("{}", pipelines::config_to_toml(select(all, *section), true));
  });
}

}  // namespace crescendo::cli
