#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace crescendo::cli {

/// Those behind the program's name. `--cfg_scale` is `--cfg-scale`: both spellings are common among
/// the tools of the field.
std::vector<std::string> arguments_of(int argc, char** argv);

/// Throws UserError for a subcommand or an option that `app` does not know, with the name that was
/// meant where one is near, and for an option in the place of another's value. Of these CLI11 says
/// that something else is missing, or takes them.
void check_names(const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace crescendo::cli
