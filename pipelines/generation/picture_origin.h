#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/generation/image_generator.h"
#include "pipelines/models/apply_lora.h"

namespace crescendo::pipelines {

/// The files that a picture was made from; empty where there was none.
struct SourceFiles {
  std::filesystem::path model{};
  std::filesystem::path config{};  ///< beside a single file
  std::vector<LoraChoice> loras{};
  std::filesystem::path init_image{};
  std::filesystem::path mask{};
  std::filesystem::path latents{};  ///< noise to begin with, of which it took
  std::int64_t latents_row = 0;     ///< this one
};

/// All that a picture is a function of.
struct PictureOrigin {
  SourceFiles files{};
  ImageRequest request{};
  std::string label{};  ///< the class as the user called it
  GenerationOptions options{};
  std::string dtype = "float32";
  bool vae_tiling = false;
  bool vae_slicing = false;
};

/// What Stable Diffusion's tools write as the text "parameters", in the order and with the names of
/// AUTOMATIC1111's web UI.
std::string parameters_text(const PictureOrigin& origin);

/// Everything, for the text "crescendo": the keys are the long flags of `crescendo generate`.
nlohmann::ordered_json to_json(const PictureOrigin& origin);

}  // namespace crescendo::pipelines
