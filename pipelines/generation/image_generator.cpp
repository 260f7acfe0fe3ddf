#include "pipelines/generation/image_generator.h"

#include <algorithm>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/tensor_io.h"
#include "pipelines/generation/picture.h"

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

at::Tensor initial_noise_of(std::span<const ImageRequest> requests, at::IntArrayRef shape) {
  at::Tensor noise = noise_of(requests, shape, Purpose::kInitialLatents, 0);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const at::Tensor& given = requests[i].latents;
    if (!given.defined()) continue;
    if (given.sizes() != shape) {
      throw UserError("latents: expected [{}] for a picture, found [{}]", fmt::join(shape, ", "),
                      fmt::join(given.sizes(), ", "));
    }
    noise[static_cast<std::int64_t>(i)].copy_(given);
  }
  return noise;
}

/// What sample() begins from, on the device of the noise.
diffusion::InitialLatents initial_of(const GenerationOptions& options, at::Device device) {
  if (!options.initial) return {};
  const InitialPicture& picture = *options.initial;
  diffusion::InitialLatents initial{
      .x0 = picture.latents.to(device),
      .first_step = diffusion::first_step_of(options.sampler.steps, picture.strength)};
  if (picture.mask.defined()) initial.mask = picture.mask.to(device);
  return initial;
}

/// Whether step `step` of `steps` is guided; the bounds are cut to whole steps, as diffusers'
/// guiders do.
bool is_guided(const GenerationOptions& options, std::int64_t step) {
  const auto steps = static_cast<double>(options.sampler.steps);
  return step >= static_cast<std::int64_t>(options.guidance_start * steps) &&
         step < static_cast<std::int64_t>(options.guidance_end * steps);
}

}  // namespace

ImageGenerator::ImageGenerator(const DiffusionModel& model, at::Device device)
    : model_(model),
      process_(diffusion::make_noise_process(model.diffusion)),
      conditioner_(model.conditioner(device)),
      device_(device) {}

GenerationOptions ImageGenerator::default_options() const {
  const std::int64_t side =
      model_.unet->options().sample_size.value_or(64) * model_.vae->downscale_factor();
  return {.sampler = model_.sampler, .width = side, .height = side};
}

std::vector<std::int64_t> ImageGenerator::latent_shape(std::int64_t width,
                                                       std::int64_t height) const {
  return {model_.vae->latent_channels(), model_.latent_side(height, "height"),
          model_.latent_side(width, "width")};
}

double ImageGenerator::guidance_of(const GenerationOptions& options) const {
  return conditioner_.kind() == ConditioningKind::kNone ? 1 : options.cfg_scale;
}

void ImageGenerator::check(const GenerationOptions& options) const {
  const std::vector<std::int64_t> shape = latent_shape(options.width, options.height);
  diffusion::check_fit(*process_, options.sampler);
  if (guidance_of(options) != 1 && !conditioner_.can_guide()) {
    throw UserError(
        "cfg_scale: this model has no class that stands for none, because it was trained with "
        "train.proportion_empty_prompts = 0; expected 1, found {}",
        options.cfg_scale);
  }
  if (!options.initial) return;
  diffusion::first_step_of(options.sampler.steps, options.initial->strength);
  if (options.initial->latents.sizes().slice(1) != at::IntArrayRef(shape)) {
    throw UserError("initial picture: expected latents [{}], for {}x{} pixels, found [{}]",
                    fmt::join(shape, ", "), options.width, options.height,
                    fmt::join(options.initial->latents.sizes().slice(1), ", "));
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
                                    const GenerationOptions& options,
                                    const diffusion::StepProgress& progress) {
  check(options);
  const c10::NoGradGuard no_grad;
  const auto count = static_cast<std::int64_t>(requests.size());
  const double scale = guidance_of(options);
  const at::ScalarType dtype = model_.unet->parameters().front().scalar_type();
  const unet::Conditioning condition = condition_of(requests);
  const unet::Conditioning both =
      scale == 1 ? condition : concatenate(negative_of(requests), condition);
  const diffusion::InitialLatents initial = initial_of(options, device_);

  std::int64_t step = initial.first_step;
  const diffusion::Denoiser denoiser = [&](const at::Tensor& latents, double timestep) {
    const bool guided = scale != 1 && is_guided(options, step);
    const at::Tensor input = (guided ? at::cat({latents, latents}) : latents).to(dtype);
    const at::Tensor timesteps =
        at::full({input.size(0)}, timestep, at::TensorOptions(at::kFloat).device(device_));
    at::Tensor prediction =
        model_.unet->forward(input, timesteps, guided ? both : condition).to(at::kFloat);
    if (!guided) return prediction;
    const at::Tensor conditional = prediction.narrow(0, count, count);
    const at::Tensor led = diffusion::guide(prediction.narrow(0, 0, count), conditional, scale);
    return options.guidance_rescale == 0
               ? led
               : diffusion::rescale_guidance(led, conditional, options.guidance_rescale);
  };
  const std::vector<std::int64_t> shape = latent_shape(options.width, options.height);
  const diffusion::StepNoise step_noise = [&](std::int64_t of_step) {
    return noise_of(requests, shape, Purpose::kSamplerNoise, static_cast<std::uint64_t>(of_step))
        .to(device_);
  };
  const diffusion::StepProgress count_steps = [&](std::int64_t done, std::int64_t steps,
                                                  const at::Tensor& x0) {
    ++step;
    if (progress) progress(done, steps, x0);
  };
  const at::Tensor latents =
      diffusion::sample(*process_, options.sampler, initial_noise_of(requests, shape).to(device_),
                        denoiser, step_noise, count_steps, initial);
  return model_.vae->decode(model_.vae->unscale(latents)).to(at::kCPU);
}

InitialPicture ImageGenerator::encode(const dataloader::Image& picture,
                                      const dataloader::Image* mask, double strength) {
  const c10::NoGradGuard no_grad;
  const std::vector<std::int64_t> shape = latent_shape(picture.width, picture.height);
  const at::Tensor image = picture_to_tensor(picture).unsqueeze(0).to(device_);
  InitialPicture initial{.latents = model_.vae->scale(model_.vae->encode(image).mode()),
                         .strength = strength};
  if (mask == nullptr) return initial;
  if (mask->width != picture.width || mask->height != picture.height) {
    throw UserError("mask: expected {}x{} pixels, as the picture, found {}x{}", picture.width,
                    picture.height, mask->width, mask->height);
  }
  // As diffusers: white from half on, and of each position the pixel in its corner.
  const at::Tensor white = picture_to_tensor(*mask)[0].ge(0).to(at::kFloat);
  initial.mask = at::upsample_nearest2d(white.view({1, 1, picture.height, picture.width}),
                                        {shape[1], shape[2]})
                     .to(device_);
  return initial;
}

std::vector<dataloader::Image> ImageGenerator::preview(const at::Tensor& x0) {
  if (!preview_) preview_.emplace(*model_.vae, device_);
  return tensor_to_pictures(preview_->colors(x0));
}

}  // namespace crescendo::pipelines
