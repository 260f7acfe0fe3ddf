#pragma once

#include "diffusion/noise_process.h"

namespace crescendo::diffusion {

/// The factors of EDM's preconditioning at one noise level (Karras et al., arXiv 2206.00364, table
/// 1): the denoiser is D(x) = skip x + out F(in x, noise), F the network.
struct Preconditioning {
  double skip = 0;   ///< sigma_data^2 / (sigma^2 + sigma_data^2)
  double out = 0;    ///< sigma sigma_data / sqrt(sigma^2 + sigma_data^2)
  double in = 0;     ///< 1 / sqrt(sigma^2 + sigma_data^2)
  double noise = 0;  ///< ln(sigma) / 4
};

Preconditioning preconditioning(double sigma, double sigma_data);

/// EDM: x = x0 + sigma noise with ln(sigma) ~ N(p_mean, p_std^2) in training. Its levels are
/// sigmas. Karras et al. weight the error of D by lambda = 1 / out^2, which is a factor of 1 for
/// that of F: here loss_weighting = "uniform", or "edm".
class EdmProcess final : public NoiseProcess {
 public:
  /// Throws UserError when an option is out of range.
  explicit EdmProcess(const DiffusionOptions& options);

  const DiffusionOptions& options() const override { return options_; }
  std::int64_t places() const override;
  at::Tensor levels(std::span<const std::int64_t> places) const override;
  double quantile(double share) const override;
  std::optional<std::int64_t> place_at(double /*share*/) const override { return std::nullopt; }

  at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise,
                       const at::Tensor& levels) const override;
  ModelInput model_input(const at::Tensor& noised, const at::Tensor& levels) const override;

  /// (x0 - skip x) / out, written without the difference: (sigma / sigma_data x0 - sigma_data
  /// noise) in.
  at::Tensor target(const at::Tensor& x0, const at::Tensor& noise,
                    const at::Tensor& levels) const override;
  at::Tensor weights(const at::Tensor& levels) const override;

  /// From sigma_max to sigma_min by Eq. 5 of the paper, with rho, or exponentially.
  std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options) const override;
  double initial_deviation(const SamplerOptions& options, double sigma) const override;
  at::Tensor denoise(const at::Tensor& x, const NoiseLevel& level,
                     const Denoiser& denoiser) const override;

 private:
  Preconditioning at_sigma(double sigma) const {
    return preconditioning(sigma, options_.sigma_data);
  }

  DiffusionOptions options_;
};

}  // namespace crescendo::diffusion
