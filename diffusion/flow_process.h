#pragma once

#include "diffusion/noise_process.h"

namespace crescendo::diffusion {

/// Flow matching along straight lines (Lipman et al., arXiv 2210.02747; Liu et al., arXiv
/// 2209.03003), with the times of diffusers: x = (1 - t) x0 + t noise, so that t is the noise, and
/// the model, told num_train_timesteps times t, predicts the velocity noise - x0. Its levels are
/// times. Training draws them by `time_sampling` (Esser et al., arXiv 2403.03206, Eq. 19), then
/// shifts them (there Eq. 23): t' = shift t / (1 + (shift - 1) t).
class FlowProcess final : public NoiseProcess {
 public:
  /// Throws UserError when an option is out of range.
  explicit FlowProcess(DiffusionOptions options);

  const DiffusionOptions& options() const override { return options_; }
  std::int64_t places() const override;
  at::Tensor levels(std::span<const std::int64_t> places) const override;
  double quantile(double share) const override;
  std::optional<std::int64_t> place_at(double share) const override;

  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise,
                       const at::Tensor& levels) const override;
  ModelInput model_input(const at::Tensor& noised, const at::Tensor& levels) const override;
  at::Tensor target(const at::Tensor& x0, const at::Tensor& noise,
                    const at::Tensor& levels) const override;

  /// The SNR is ((1 - t) / t)^2, and the velocity's error 1 / t times that of x0.
  at::Tensor weights(const at::Tensor& levels) const override;

  /// As diffusers' FlowMatchEulerDiscreteScheduler, which shifts the last step's time twice.
  std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options) const override;
  double initial_deviation(const SamplerOptions& /*options*/, double /*sigma*/) const override {
    return 1;
  }
  at::Tensor at_sigma(const at::Tensor& x0, const at::Tensor& noise, double sigma) const override;
  at::Tensor denoise(const at::Tensor& x, const NoiseLevel& level,
                     const Denoiser& denoiser) const override;

 private:
  double shifted(double time) const;

  DiffusionOptions options_;
};

}  // namespace crescendo::diffusion
