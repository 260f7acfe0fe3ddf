#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/weight_files.h"
#include "pipelines/models/ldm_keys.h"
#include "pipelines/models/tensor_copy.h"

namespace crescendo::pipelines {

// A latent-diffusion single file and the components of a diffusers folder, each as the other.

/// The tensors of one component, for the file that is to hold them.
struct ComponentCopy {
  std::string component;  ///< unet, vae or text_encoder
  std::vector<TensorCopy> tensors;
};

/// "Stable Diffusion 1.x", "... 2.x" or "... XL", told by the text encoder's keys, or that there is
/// none; empty for what is no single file.
std::string single_file_kind(const WeightFiles& file);

/// Throws UserError when it is no Stable Diffusion 1.x or 2.x single file.
void require_single_file(const WeightFiles& file);

/// The width of what the U-Net of a single file attends to; 0 when it attends to nothing.
std::int64_t context_width(const WeightFiles& file);

/// The components of a single file under the names of a diffusers folder. `configs` is a diffusers
/// folder; its weights are not looked at. Throws UserError when file and configs do not fit.
std::vector<ComponentCopy> components_of_file(const WeightFiles& file,
                                              const std::filesystem::path& configs);

/// The components of the diffusers folder `model` under the keys of the single file. Throws
/// UserError for a model that the single file has no place for.
std::vector<ComponentCopy> file_of_components(const std::filesystem::path& model);

}  // namespace crescendo::pipelines
