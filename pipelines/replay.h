#pragma once

#include <filesystem>

#include "pipelines/generate.h"

namespace crescendo::pipelines {

/// The request that draws a picture again; without `output`. Of a PNG of ours it is whole, out of
/// the text "crescendo" (to_json()); else it is as request_of_parameters() says. Files are as the
/// picture names them, relative ones to the current folder. Throws UserError for a picture that
/// tells nothing, and for a grid; DataError for a text that is malformed.
GenerateRequest request_of_picture(const std::filesystem::path& picture);

}  // namespace crescendo::pipelines
