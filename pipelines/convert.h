#pragma once

#include <filesystem>
#include <string>

namespace crescendo::pipelines {

struct ConvertRequest {
  std::filesystem::path
      input;  ///< a .safetensors single file, a diffusers folder, a run, or a pickle
  std::filesystem::path output;       ///< must not exist; from a folder, .safetensors for one file
  std::filesystem::path config{};     ///< a diffusers folder for what a single file does not hold
  std::filesystem::path templates{};  ///< where the folders are that are taken without `config`
  std::string save_precision{};       ///< float, fp16, bf16; empty: every tensor as it is
  std::string vae_precision{};        ///< the autoencoder's; empty: float where the others change
  std::string variant{};              ///< put into the names of a folder's weights, as "fp16"
};

/// Between the single file of the latent-diffusion code and a diffusers folder, or a folder with
/// another precision; or from weights that torch.save pickled to the same tensors as .safetensors.
/// Writes the result whole or not at all. Throws UserError before any work for what cannot be
/// converted.
void convert(const ConvertRequest& request);

}  // namespace crescendo::pipelines
