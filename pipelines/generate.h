#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/models/model_choice.h"

namespace crescendo::pipelines {

class ImageGenerator;
struct GenerationOptions;

struct GenerateRequest {
  ModelChoice model;
  std::vector<std::string> prompts;  ///< for a text model
  std::string negative_prompt;
  std::vector<std::string> labels;          ///< for a class model: numbers or names
  std::int64_t batch_count = 1;             ///< pictures of each prompt, of seed, seed + 1, ...
  std::uint64_t seed = 0;                   ///< of the first picture of each prompt
  std::filesystem::path latents;            ///< safetensors to begin from instead of seeds, or none
  std::optional<std::int64_t> latents_row;  ///< the one of `latents` to begin all pictures from
  std::filesystem::path init_image;         ///< picture to begin from, or none
  double strength = 0.75;                   ///< how far from it: share of the steps, (0, 1]
  std::filesystem::path mask;               ///< white: drawn anew; black: stays as in init_image
  std::optional<std::int64_t> steps;        ///< what is not given is as the model's scheduler says
  std::optional<std::string> sampler;
  std::optional<std::string> scheduler;
  std::optional<std::string> timestep_spacing;
  std::optional<double> eta;
  double cfg_scale = 7.5;
  double guidance_start = 0;          ///< of all steps, the share from which guidance is used,
  double guidance_end = 1;            ///< and up to which
  double guidance_rescale = 0;        ///< [0, 1]
  std::optional<std::int64_t> width;  ///< pixels; as init_image, or as trained
  std::optional<std::int64_t> height;
  std::int64_t batch_size = 8;     ///< pictures at a time
  std::filesystem::path output;    ///< see output_names()
  std::filesystem::path grid;      ///< all of them in one picture as well, or none
  std::int64_t columns = 0;        ///< of a grid; 0: near to a square
  int quality = 90;                ///< of JPEG and WebP, 1 to 100
  std::filesystem::path preview;   ///< picture that shows how far the drawing is, or none
  std::int64_t preview_every = 5;  ///< steps
  std::string device = "auto";
};

/// The sampler and guidance that `request` asks of the model of `generator`, at the model's size.
GenerationOptions drawing_options(const GenerateRequest& request, const ImageGenerator& generator);

/// Draws pictures and returns the files it wrote. How each was made stands in its texts
/// (encode_picture()). Throws UserError before anything is drawn.
std::vector<std::filesystem::path> generate(const GenerateRequest& request);

}  // namespace crescendo::pipelines
