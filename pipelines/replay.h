#pragma once

#include <filesystem>

#include "pipelines/generate.h"

namespace crescendo::pipelines {

/// The request that draws a PNG again, out of its text "crescendo" (to_json()); without `output`.
/// Files are as it names them, relative ones to the current folder. Throws UserError for what is no
/// such PNG, and for a grid; DataError for a text that is malformed.
GenerateRequest request_of_picture(const std::filesystem::path& png);

}  // namespace crescendo::pipelines
