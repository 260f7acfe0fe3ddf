#pragma once

#include <vector>

#include "pipelines/models/model_choice.h"

namespace CLI {
class App;
}

namespace crescendo::cli {

/// Adds --lora FILE or FILE:WEIGHT, which fills `loras`.
void add_lora_option(CLI::App& command, std::vector<pipelines::LoraChoice>& loras);

}  // namespace crescendo::cli
