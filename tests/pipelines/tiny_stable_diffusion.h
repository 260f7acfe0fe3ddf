#pragma once

#include <filesystem>

#include "text_encoder/clip_options.h"
#include "unet/options.h"
#include "vae/options.h"

namespace crescendo::pipelines {

/// A small Stable Diffusion of either generation, with random weights.
struct TinyStableDiffusion {
  unet::UNet2DConditionOptions unet;
  vae::AutoencoderKLOptions vae;
  text_encoder::CLIPTextOptions text;

  /// Writes it as a diffusers folder, with the tokenizer of a fixture.
  void save(const std::filesystem::path& folder) const;
};

TinyStableDiffusion tiny_stable_diffusion_1();

/// With linear projections, heads by level and OpenCLIP's activation.
TinyStableDiffusion tiny_stable_diffusion_2();

}  // namespace crescendo::pipelines
