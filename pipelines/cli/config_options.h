#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "pipelines/run_folder.h"

namespace crescendo::cli {

/// The arguments of every command that takes a config.
inline void add_config_options(CLI::App& command, std::filesystem::path& config,
                               std::vector<std::string>& overrides) {
  command.add_option("CONFIG", config, "TOML file")->required();
  command
      .add_option("--set", overrides, "section.key=value in place of the file's; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

inline void add_resume_option(CLI::App& command, pipelines::Resume& resume) {
  command
      .add_option_function<std::string>(
          "--resume",
          [&resume](const std::string& path) {
            resume.wanted = true;
            if (path != "latest") resume.from = path;
          },
          "go on from the run's newest checkpoint, or from the one at PATH")
      ->type_name("[PATH]")
      ->expected(0, 1)
      ->default_str("latest");
}

}  // namespace crescendo::cli
