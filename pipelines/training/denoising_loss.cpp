#include "pipelines/training/denoising_loss.h"

#include <ATen/Functions.h>

#include "diffusion/loss.h"

namespace crescendo::pipelines {

TensorMap tensors_of(const NoisedBatch& batch) {
  TensorMap tensors{{"latents", batch.latents},
                    {"noise", batch.noise},
                    {"levels", batch.levels},
                    {"noise_offset", batch.offset},
                    {"input_perturbation", batch.perturbation},
                    {"encoder_hidden_states", batch.condition.encoder_hidden_states},
                    {"encoder_attention_mask", batch.condition.encoder_attention_mask},
                    {"class_labels", batch.condition.class_labels}};
  std::erase_if(tensors, [](const auto& item) { return !item.second.defined(); });
  return tensors;
}

at::Tensor denoising_losses(unet::UNet2DConditionModel& unet,
                            const diffusion::NoiseProcess& process, const NoisedBatch& batch,
                            const NoiseStrengths& strengths, const AutocastState& autocast) {
  at::Tensor noise = batch.noise;
  // Offset noise: https://www.crosslabs.org/blog/diffusion-with-offset-noise
  if (batch.offset.defined()) noise = noise + strengths.noise_offset * batch.offset;
  at::Tensor seen = noise;
  // Input perturbation: Ning et al., arXiv 2301.11706.
  if (batch.perturbation.defined()) {
    seen = noise + strengths.input_perturbation * batch.perturbation;
  }
  const diffusion::ModelInput input =
      process.model_input(process.add_noise(batch.latents, seen, batch.levels), batch.levels);
  at::Tensor prediction;
  {
    const AutocastGuard guard(autocast);
    prediction = unet->forward(input.latents, input.timesteps, batch.condition);
  }
  return diffusion::training_loss_per_sample(process, prediction, batch.latents, noise,
                                             batch.levels);
}

}  // namespace crescendo::pipelines
