#pragma once

#include <filesystem>

#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// Opens a Stable Diffusion 1.x or 2.x single file as it is, with the configurations, scheduler and
/// tokenizer of the diffusers folder or run `config`, or, where that is empty, of the one in
/// `templates` that choose_template() takes. As load_model() in the rest. Throws UserError or
/// DataError.
DiffusionModel load_single_file(const std::filesystem::path& path,
                                const std::filesystem::path& config,
                                const std::filesystem::path& templates, const Placement& placement);

}  // namespace crescendo::pipelines
