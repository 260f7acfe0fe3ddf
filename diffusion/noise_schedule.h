#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "diffusion/noise_process.h"

namespace crescendo::diffusion {

/// The forward process q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I), with a_t the running product
/// of 1 - beta (Ho et al., arXiv 2006.11239, Eq. 4), and what a model is trained to predict of it.
/// Tables are kept in float64; tensors keep the dtype and the device of x0.
///
/// Shapes: x0, noise: [N,...]; timesteps: [N], int64, any device, in [0, num_train_timesteps).
class NoiseSchedule final : public NoiseProcess {
 public:
  /// Throws UserError when an option is out of range.
  explicit NoiseSchedule(const DiffusionOptions& options);

  const DiffusionOptions& options() const override { return options_; }
  std::int64_t num_train_timesteps() const { return options_.num_train_timesteps; }

  /// a_t of each timestep, strictly decreasing; 0 at the last with rescale_betas_zero_snr.
  std::span<const double> alphas_cumprod() const { return alphas_cumprod_; }

  /// Signal-to-noise ratio of each timestep: a_t / (1 - a_t).
  std::span<const double> snr() const { return snr_; }

  /// x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise.
  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise,
                       const at::Tensor& timesteps) const override;

  /// v_t = sqrt(a_t) noise - sqrt(1 - a_t) x0 (Salimans and Ho, arXiv 2202.00512).
  at::Tensor velocity(const at::Tensor& x0, const at::Tensor& noise,
                      const at::Tensor& timesteps) const;

  /// What the model should predict, by prediction_type: noise, v_t or x0.
  at::Tensor target(const at::Tensor& x0, const at::Tensor& noise,
                    const at::Tensor& timesteps) const override;

  /// The loss weight of each timestep (loss_weight(), diffusion/loss.h): float32, [N], on the
  /// device of `timesteps`.
  at::Tensor weights(const at::Tensor& timesteps) const override;

  std::int64_t places() const override { return num_train_timesteps(); }
  at::Tensor levels(std::span<const std::int64_t> timesteps) const override;
  double quantile(double share) const override;
  std::optional<std::int64_t> place_at(double share) const override;
  const NoiseSchedule* schedule() const override { return this; }
  ModelInput model_input(const at::Tensor& noised, const at::Tensor& timesteps) const override;

  /// noise_levels() of diffusion/sigma_schedule.h.
  std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options) const override;
  double initial_deviation(const SamplerOptions& options, double sigma) const override;

  /// x: x_t / sqrt(a_t), which is x0 + sigma noise.
  at::Tensor denoise(const at::Tensor& x, const NoiseLevel& level,
                     const Denoiser& denoiser) const override;

 private:
  DiffusionOptions options_;
  std::vector<double> alphas_cumprod_;
  std::vector<double> snr_;
  at::Tensor signal_rate_;  // sqrt(a_t): [T], float64, CPU
  at::Tensor noise_rate_;   // sqrt(1 - a_t)
  at::Tensor weights_;      // [T], float32, CPU
};

}  // namespace crescendo::diffusion
