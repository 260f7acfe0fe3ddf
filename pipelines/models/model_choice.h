#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace crescendo::pipelines {

/// A LoRA to draw with.
struct LoraChoice {
  std::filesystem::path path;  ///< a file, or a folder or run that has one
  double weight = 1;           ///< of its change; 1: as trained
};

/// A model to draw with, and how.
struct ModelChoice {
  std::filesystem::path path{};       ///< a model folder, a run, or a single .safetensors file
  std::filesystem::path config{};     ///< a diffusers folder for what a single file does not hold
  std::filesystem::path templates{};  ///< where the folders are that are taken without `config`
  std::vector<LoraChoice> loras{};    ///< added to its weights
  std::string dtype = "float32";      ///< of U-Net and text encoder; the autoencoder's is float32
  bool vae_tiling = false;            ///< decode large pictures in overlapping tiles
  bool vae_slicing = false;           ///< decode one picture at a time
};

}  // namespace crescendo::pipelines
