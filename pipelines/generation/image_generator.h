#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataloader/image.h"
#include "diffusion/noise_process.h"
#include "diffusion/sampler.h"
#include "pipelines/generation/latent_preview.h"
#include "pipelines/models/model_folder.h"

namespace crescendo::pipelines {

/// One picture to draw.
struct ImageRequest {
  std::string prompt{};           ///< for a text model
  std::string negative_prompt{};  ///< what guidance leads away from; "" is the empty caption
  std::int64_t label = -1;        ///< for a class model
  std::uint64_t seed = 0;         ///< the picture is a function of request and options alone
  at::Tensor latents{};           ///< [C,h,w]: noise to begin with in place of the seed's
};

/// A picture to begin from (image-to-image), as ImageGenerator::encode() makes it.
struct InitialPicture {
  at::Tensor latents{};    ///< [1,C,h,w]
  at::Tensor mask{};       ///< [1,1,h,w]: 1 is drawn anew, 0 stays; undefined: all is drawn
  double strength = 0.75;  ///< share of the steps that are taken, (0, 1]
};

/// How the pictures of one call are drawn.
struct GenerationOptions {
  diffusion::SamplerOptions sampler{};
  double cfg_scale = 1;         ///< 1: no guidance
  double guidance_start = 0;    ///< of all steps, the share from which guidance is used,
  double guidance_end = 1;      ///< and up to which (arXiv 2404.07724); outside: no guidance
  double guidance_rescale = 0;  ///< [0, 1], arXiv 2305.08891
  std::int64_t width = 0;       ///< pixels
  std::int64_t height = 0;      ///< pixels
  std::optional<InitialPicture> initial{};
};

/// Draws pictures with a model, whose components it shares: noise, sampler, guidance, decoder. It
/// keeps nothing of a call; one thread at a time.
class ImageGenerator {
 public:
  ImageGenerator(const DiffusionModel& model, at::Device device);

  /// As the model was trained: its sampler and its size; no guidance.
  GenerationOptions default_options() const;

  /// Throws UserError for sizes, steps, strength or guidance that the model cannot do.
  void check(const GenerationOptions& options) const;

  /// requests: N -> [N,3,height,width] on the CPU, about [-1, 1]. `progress` is told each step; to
  /// cancel, let it throw. Throws as check() does.
  at::Tensor generate(std::span<const ImageRequest> requests, const GenerationOptions& options,
                      const diffusion::StepProgress& progress = {});

  /// The latents of a picture and, where there is a mask (its red channel: 255 is drawn anew),
  /// that, both of one size. Throws UserError for a size that the model cannot do.
  InitialPicture encode(const dataloader::Image& picture, const dataloader::Image* mask,
                        double strength);

  /// x0, [N,C,h,w], as progress is told it -> N small pictures, h x w, of about its colours; costs
  /// next to nothing.
  std::vector<dataloader::Image> preview(const at::Tensor& x0);

 private:
  unet::Conditioning condition_of(std::span<const ImageRequest> requests);
  unet::Conditioning negative_of(std::span<const ImageRequest> requests);
  double guidance_of(const GenerationOptions& options) const;
  std::vector<std::int64_t> latent_shape(std::int64_t width, std::int64_t height) const;

  DiffusionModel model_;
  std::shared_ptr<const diffusion::NoiseProcess> process_;
  Conditioner conditioner_;
  at::Device device_;
  std::optional<LatentPreview> preview_;  ///< made when it is first asked for
};

}  // namespace crescendo::pipelines
