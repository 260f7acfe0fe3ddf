#pragma once

#include <filesystem>
#include <vector>

#include "pipelines/models/apply_lora.h"
#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// Which model to draw with, as `generate` and `serve` are told.
struct DrawingModelRequest {
  std::filesystem::path model;      ///< a model folder, a run, or a single .safetensors file
  std::vector<LoraChoice> loras;    ///< added to its weights
  std::filesystem::path config;     ///< a diffusers folder for what a single file does not hold
  std::filesystem::path templates;  ///< where the folders are that are taken without `config`
  bool vae_tiling = false;
  bool vae_slicing = false;
};

/// Opens it on `device`, ready for ImageGenerator; U-Net and text encoder as `dtype`. Throws
/// UserError or DataError.
DiffusionModel open_drawing_model(const DrawingModelRequest& request, at::Device device,
                                  at::ScalarType dtype);

}  // namespace crescendo::pipelines
