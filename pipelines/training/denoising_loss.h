#pragma once

#include <ATen/core/Tensor.h>

#include "core/autocast.h"
#include "core/tensor_io.h"
#include "diffusion/noise_process.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::pipelines {

/// A batch as the U-Net is trained on it, with everything that was drawn for it.
struct NoisedBatch {
  at::Tensor latents;         ///< scaled: [N,C,h,w]
  at::Tensor noise;           ///< [N,C,h,w]
  at::Tensor levels;          ///< [N], of the noise: what NoiseProcess::levels() returns
  at::Tensor offset{};        ///< [N,C,1,1], standard normal; undefined: no offset noise
  at::Tensor perturbation{};  ///< [N,C,h,w], standard normal; undefined: no input perturbation
  unet::Conditioning condition;
};

/// The tensors that there are, by name.
TensorMap tensors_of(const NoisedBatch& batch);

/// How much of the last two; names and meaning are those of diffusers' training scripts.
struct NoiseStrengths {
  double noise_offset = 0;
  double input_perturbation = 0;
};

/// The training loss of each sample, [N] float32, with its graph, a function of the batch alone:
/// the model sees the latents in noise that is perturbed, and is to tell the noise that is not.
/// Only the model runs under `autocast`.
at::Tensor denoising_losses(unet::UNet2DConditionModel& unet,
                            const diffusion::NoiseProcess& process, const NoisedBatch& batch,
                            const NoiseStrengths& strengths, const AutocastState& autocast);

}  // namespace crescendo::pipelines
