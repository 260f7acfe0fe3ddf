#pragma once

#include <string>
#include <vector>

#include "pipelines/generate.h"

namespace CLI {
class App;
}

namespace crescendo::cli {

// The flags of all that draws with a model.

/// Which model: -m, --config, --lora, --dtype, --vae-tiling, --vae-slicing.
void add_model_options(CLI::App& command, pipelines::GenerateRequest& request);

/// How it draws: --steps, guidance, sampler and scheduler.
void add_sampling_options(CLI::App& command, pipelines::GenerateRequest& request);

/// The lines of a file ("-": standard input) that are not empty. Throws UserError naming `flag`.
std::vector<std::string> read_lines(const std::string& path, const char* flag);

}  // namespace crescendo::cli
