#pragma once

#include <filesystem>

#include <torch/nn/module.h>

#include "core/tensor_io.h"

namespace crescendo {

// Weights of a module under the names of its parameters and buffers, which are the names of the
// reference implementation's state dict: there is no table of renamings.

/// Every parameter and buffer of `module` by name (views, not copies).
TensorMap state_of(const torch::nn::Module& module);

/// Fills every parameter and buffer from a safetensors file, converting the dtype. Missing,
/// left-over and wrongly shaped tensors are all listed (first ten) in one DataError.
void load_weights(torch::nn::Module& module, const std::filesystem::path& file);

/// Saves every parameter and buffer as `dtype`, with the metadata {"format": "pt"} that the
/// reference loaders require.
void save_weights(const torch::nn::Module& module, const std::filesystem::path& file,
                  at::ScalarType dtype = at::kFloat);

/// The weights file of a component folder: `diffusion_pytorch_model.safetensors` (diffusers) or
/// `model.safetensors` (transformers). Throws UserError when neither is there, with a hint when
/// only a pickle is.
std::filesystem::path weights_file_in(const std::filesystem::path& folder);

}  // namespace crescendo
