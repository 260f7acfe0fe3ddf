#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace crescendo::pipelines {

/// A LoRA to draw with.
struct LoraChoice {
  std::filesystem::path path;  ///< a file, or a folder or run that has one
  double weight = 1;           ///< of its change; 1: as trained
};

struct GenerateRequest {
  std::filesystem::path model;       ///< a model folder, or a run with model/
  std::vector<LoraChoice> loras;     ///< added to the model's weights
  std::vector<std::string> prompts;  ///< for a text model
  std::string negative_prompt;
  std::vector<std::string> labels;    ///< for a class model: numbers or names
  std::int64_t batch_count = 1;       ///< pictures of each prompt, of seed, seed + 1, ...
  std::uint64_t seed = 0;             ///< of the first picture of each prompt
  std::filesystem::path latents;      ///< safetensors to begin from instead of seeds, or none
  std::optional<std::int64_t> steps;  ///< what is not given is as the model's scheduler says
  std::optional<std::string> sampler;
  std::optional<std::string> scheduler;
  std::optional<double> eta;
  double cfg_scale = 7.5;
  std::optional<std::int64_t> width;  ///< pixels; as trained
  std::optional<std::int64_t> height;
  std::int64_t batch_size = 8;   ///< pictures at a time
  std::int64_t columns = 0;      ///< of the grid; 0: near to a square
  std::filesystem::path output;  ///< FILE.png: one picture, or a grid of all; else a folder of them
  bool vae_tiling = false;       ///< decode large pictures in overlapping tiles
  bool vae_slicing = false;      ///< decode one picture at a time
  std::string device = "auto";
  std::string dtype = "float32";  ///< of U-Net and text encoder; the autoencoder's is float32
};

/// Draws pictures and returns the files it wrote. How each was made stands in its PNG text
/// "parameters". Throws UserError before anything is drawn.
std::vector<std::filesystem::path> generate(const GenerateRequest& request);

}  // namespace crescendo::pipelines
