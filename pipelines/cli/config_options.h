#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "pipelines/runs/run_folder.h"

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

/// What is to become of a run that run.output_dir holds already.
inline void add_resume_options(CLI::App& command, pipelines::Resume& resume) {
  CLI::Option* wanted =
      command
          .add_option_function<std::string>(
              "--resume",
              [&resume](const std::string& path) {
                if (path != "latest") resume.from = path;
              },
              "go on from the run's newest whole checkpoint, the default where there is one, or "
              "from the one at PATH")
          ->type_name("[PATH]")
          ->expected(0, 1)
          ->default_str("latest");
  command
      .add_flag("--no-resume", resume.refused, "refuse a run.output_dir that already holds a run")
      ->excludes(wanted);
  command.add_flag("--allow-config-change", resume.allow_config_change,
                   "go on although the configuration is another, and the steps with it");
}

}  // namespace crescendo::cli
