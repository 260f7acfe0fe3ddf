#pragma once

#include <filesystem>

#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// Adds `weight` times the change of a LoRA (a file, or a folder or run that has one) to the
/// model's U-Net and text encoder. Throws UserError or DataError when a key of the file has no
/// place in the model.
void apply_lora(DiffusionModel& model, const std::filesystem::path& path, double weight);

}  // namespace crescendo::pipelines
