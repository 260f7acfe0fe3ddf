#pragma once

#include <ATen/core/Tensor.h>

#include "diffusion/noise_process.h"
#include "diffusion/options.h"

namespace crescendo::diffusion {

/// The factor of the model's squared error at a timestep of signal-to-noise ratio `snr`, by
/// loss_weighting and prediction_type:
///
/// - min_snr (arXiv 2303.09556): m = min(snr, snr_gamma) for sample, m / snr for epsilon,
///   m / (snr + 1) for v_prediction; 1 where snr = 0, as in diffusers' training scripts.
/// - p2 (arXiv 2204.00227): 1 / (p2_k + snr)^p2_gamma, debiased (arXiv 2310.08442): 1 / sqrt(snr),
///   both defined on the error of epsilon. That error is snr times the squared error of x0, and
///   snr / (snr + 1) times that of v.
/// - edm (arXiv 2206.00364): (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on the error of x0,
///   with sigma^2 = 1 / snr.
double loss_weight(const DiffusionOptions& options, double snr);

/// The same for a prediction whose error, times `x0_scale`, is the error of x0: that of EDM's
/// network and of a velocity of flow matching. 1 for the weighting uniform.
double loss_weight(const DiffusionOptions& options, double snr, double x0_scale);

/// Mean over all but the first dimension of (prediction - target)^2, unweighted, in float32.
/// prediction, target: [N,...] -> [N].
at::Tensor mean_squared_error(const at::Tensor& prediction, const at::Tensor& target);

/// The training loss of each sample: its mean squared error times its noise level's weight.
/// prediction, x0, noise: [N,...], levels: [N] -> [N], float32.
at::Tensor training_loss_per_sample(const NoiseProcess& process, const at::Tensor& prediction,
                                    const at::Tensor& x0, const at::Tensor& noise,
                                    const at::Tensor& levels);

}  // namespace crescendo::diffusion
