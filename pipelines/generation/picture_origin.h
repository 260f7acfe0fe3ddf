#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "pipelines/generation/image_generator.h"
#include "pipelines/models/model_choice.h"

namespace crescendo::pipelines {

/// The files that a picture began from; empty where there was none.
struct SourceFiles {
  std::filesystem::path init_image{};
  std::filesystem::path mask{};
  std::filesystem::path latents{};  ///< noise to begin with, of which it took
  std::int64_t latents_row = 0;     ///< this one
};

/// All that a picture is a function of.
struct PictureOrigin {
  ModelChoice model{};
  SourceFiles files{};
  ImageRequest request{};
  std::string label{};  ///< the class as the user called it
  GenerationOptions options{};
};

/// What Stable Diffusion's tools write as the text "parameters", in the order and with the names of
/// AUTOMATIC1111's web UI.
std::string parameters_text(const PictureOrigin& origin);

/// Everything, for the text "crescendo": the keys are the long flags of `crescendo generate`.
nlohmann::ordered_json to_json(const PictureOrigin& origin);

}  // namespace crescendo::pipelines
