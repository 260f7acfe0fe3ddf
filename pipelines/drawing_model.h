#pragma once

#include "pipelines/models/model_choice.h"
#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// Opens the model that `generate`, `evaluate` and `serve` are told to draw with on `device`, ready
/// for ImageGenerator. Throws UserError or DataError.
DiffusionModel open_drawing_model(const ModelChoice& choice, at::Device device);

}  // namespace crescendo::pipelines
