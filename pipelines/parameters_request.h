#pragma once

#include <filesystem>
#include <string_view>

#include "pipelines/generate.h"

namespace crescendo::pipelines {

/// The request of the text "parameters" of `picture`, as far as that tells: of AUTOMATIC1111's web
/// UI or ours; without `output`. Warns of what it tells and cannot be had. The model is what the
/// text calls it, in the current folder. Throws UserError for the text of a grid, and DataError for
/// a field that is malformed.
GenerateRequest request_of_parameters(std::string_view text, const std::filesystem::path& picture);

}  // namespace crescendo::pipelines
