#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "diffusion/noise_process.h"
#include "diffusion/sampler.h"
#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// One picture to draw.
struct ImageRequest {
  std::string prompt{};           ///< for a text model
  std::string negative_prompt{};  ///< what guidance leads away from; "" is the empty caption
  std::int64_t label = -1;        ///< for a class model
  std::uint64_t seed = 0;         ///< the picture is a function of the request alone
  at::Tensor latents{};           ///< [C,h,w]: noise to begin with in place of the seed's
};

struct GenerationOptions {
  diffusion::SamplerOptions sampler;
  double cfg_scale = 1;     ///< 1: no guidance
  std::int64_t width = 0;   ///< pixels
  std::int64_t height = 0;  ///< pixels
};

/// Draws pictures with a model that outlives it: noise, sampler, guidance, decoder.
class ImageGenerator {
 public:
  /// Throws UserError for sizes, steps or guidance that the model cannot do.
  ImageGenerator(const DiffusionModel& model, at::Device device, const GenerationOptions& options);

  /// requests: N -> [N,3,height,width] on the CPU, about [-1, 1]. `progress` is told the denoising
  /// steps done, of how many.
  at::Tensor generate(std::span<const ImageRequest> requests,
                      const diffusion::StepProgress& progress = {});

 private:
  unet::Conditioning condition_of(std::span<const ImageRequest> requests);
  unet::Conditioning negative_of(std::span<const ImageRequest> requests);

  unet::UNet2DConditionModel unet_;
  std::shared_ptr<vae::Autoencoder> vae_;
  std::shared_ptr<const diffusion::NoiseProcess> process_;
  Conditioner conditioner_;
  at::Device device_;
  GenerationOptions options_;
  std::vector<std::int64_t> latent_shape_;  ///< [C,h,w]
};

}  // namespace crescendo::pipelines
