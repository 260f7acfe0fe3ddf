#include "pipelines/generation/image_generator.h"

#include <algorithm>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/tensor_io.h"

namespace crescendo::pipelines {

namespace {

/// Noise of each request's own stream, so that a picture does not depend on its neighbours.
at::Tensor noise_of(std::span<const ImageRequest> requests, at::IntArrayRef shape, Purpose purpose,
                    std::uint64_t position) {
  std::vector<at::Tensor> noises;
  for (const ImageRequest& request : requests) {
    noises.push_back(random_normal(shape, request.seed, purpose, position));
  }
  return at::stack(noises);
}

at::Tensor initial_latents_of(std::span<const ImageRequest> requests, at::IntArrayRef shape) {
  at::Tensor latents = noise_of(requests, shape, Purpose::kInitialLatents, 0);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const at::Tensor& given = requests[i].latents;
    if (!given.defined()) continue;
    if (given.sizes() != shape) {
      throw UserError("latents: expected [{}] for a picture, found [{}]", fmt::join(shape, ", "),
                      fmt::join(given.sizes(), ", "));
    }
    latents[static_cast<std::int64_t>(i)].copy_(given);
  }
  return latents;
}

}  // namespace

ImageGenerator::ImageGenerator(const DiffusionModel& model, at::Device device,
                               const GenerationOptions& options)
    : unet_(model.unet),
      vae_(model.vae),
      process_(diffusion::make_noise_process(model.diffusion)),
      conditioner_(model.conditioner(device)),
      device_(device),
      options_(options),
      latent_shape_{vae_->latent_channels(), model.latent_side(options.height, "height"),
                    model.latent_side(options.width, "width")} {
  diffusion::check_fit(*process_, options_.sampler);
  if (options_.cfg_scale != 1 && conditioner_.kind() == ConditioningKind::kNone) {
    options_.cfg_scale = 1;  // nothing to lead to
  }
  if (options_.cfg_scale != 1 && !conditioner_.can_guide()) {
    throw UserError(
        "cfg_scale: this model has no class that stands for none, because it was trained with "
        "train.proportion_empty_prompts = 0; expected 1, found {}",
        options_.cfg_scale);
  }
}

unet::Conditioning ImageGenerator::condition_of(std::span<const ImageRequest> requests) {
  std::vector<std::string> prompts;
  std::vector<std::int64_t> labels;
  for (const ImageRequest& request : requests) {
    prompts.push_back(request.prompt);
    labels.push_back(request.label);
  }
  return conditioner_.encode(prompts, labels);
}

unet::Conditioning ImageGenerator::negative_of(std::span<const ImageRequest> requests) {
  const auto count = static_cast<std::int64_t>(requests.size());
  if (conditioner_.kind() != ConditioningKind::kText) return conditioner_.unconditional(count);
  std::vector<std::string> prompts;
  for (const ImageRequest& request : requests) prompts.push_back(request.negative_prompt);
  return conditioner_.encode(prompts, {});
}

at::Tensor ImageGenerator::generate(std::span<const ImageRequest> requests,
                                    const diffusion::StepProgress& progress) {
  const c10::NoGradGuard no_grad;
  const auto count = static_cast<std::int64_t>(requests.size());
  const bool guided = options_.cfg_scale != 1;
  const at::ScalarType dtype = unet_->parameters().front().scalar_type();
  unet::Conditioning condition = condition_of(requests);
  if (guided) condition = concatenate(negative_of(requests), condition);

  const diffusion::Denoiser denoiser = [&](const at::Tensor& latents, double timestep) {
    const at::Tensor input = (guided ? at::cat({latents, latents}) : latents).to(dtype);
    const at::Tensor timesteps =
        at::full({input.size(0)}, timestep, at::TensorOptions(at::kFloat).device(device_));
    at::Tensor prediction = unet_->forward(input, timesteps, condition).to(at::kFloat);
    if (!guided) return prediction;
    return diffusion::guide(prediction.narrow(0, 0, count), prediction.narrow(0, count, count),
                            options_.cfg_scale);
  };
  const diffusion::StepNoise step_noise = [&](std::int64_t step) {
    return noise_of(requests, latent_shape_, Purpose::kSamplerNoise,
                    static_cast<std::uint64_t>(step))
        .to(device_);
  };
  const at::Tensor latents = diffusion::sample(
      *process_, options_.sampler, initial_latents_of(requests, latent_shape_).to(device_),
      denoiser, step_noise, progress);
  return vae_->decode(vae_->unscale(latents)).to(at::kCPU);
}

}  // namespace crescendo::pipelines
