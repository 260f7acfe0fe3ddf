#pragma once

#include <string>
#include <vector>

#include "pipelines/generate.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace crescendo::cli {

// The flags of all that draws with a model.

/// Which model: -m, which it returns, --config, --lora, --dtype, --vae-tiling, --vae-slicing.
CLI::Option* add_model_options(CLI::App& command, pipelines::ModelChoice& choice);

/// How it draws: --steps, guidance, sampler and scheduler.
void add_sampling_options(CLI::App& command, pipelines::GenerateRequest& request);

/// The lines of a file ("-": standard input) that are not empty. Throws UserError naming `flag`.
std::vector<std::string> read_lines(const std::string& path, const char* flag);

}  // namespace crescendo::cli
