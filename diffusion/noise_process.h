#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "diffusion/options.h"

namespace crescendo::diffusion {

class NoiseSchedule;

/// What the model is given of noised latents.
struct ModelInput {
  at::Tensor latents;    ///< [N,...], scaled as the model expects them
  at::Tensor timesteps;  ///< [N], on their device: what the model is told of their noise
};

/// A noise level that a sampler by sigma visits.
struct NoiseLevel {
  double sigma = 0;     ///< x = x0 + sigma noise; of flow matching x = (1 - sigma) x0 + sigma noise
  double timestep = 0;  ///< what the model is told; a fraction between two of a schedule's
};

/// The model's raw prediction for latents as it expects them, with guidance already applied.
/// latents: [N,...] -> [N,...]; the timestep may be a fraction.
using Denoiser = std::function<at::Tensor(const at::Tensor& latents, double timestep)>;

/// A formulation of diffusion (diffusion.formulation): how latents are noised, what the model is
/// given of them and trained to predict, and how x0 follows from its prediction.
///
/// The noise levels lie along an axis, from the least noise to the most, whose places training
/// draws uniformly: the timesteps where they are discrete, else quantiles of the noise of training
/// in units of 2^-32. So a cluster of levels is a range of places, whatever the formulation, and a
/// uniform draw of a place within it is a draw of the training's noise restricted to it.
///
/// Shapes: x0, noise, noised: [N,...]; levels: [N]. Tensors keep the dtype and device of x0.
class NoiseProcess {
 public:
  virtual ~NoiseProcess() = default;

  virtual const DiffusionOptions& options() const = 0;

  /// How many places the axis has: T, or 2^32.
  virtual std::int64_t places() const = 0;

  /// The levels at these places, [N] on the CPU: timesteps (int64), sigmas or times (float64).
  virtual at::Tensor levels(std::span<const std::int64_t> places) const = 0;

  /// The level under which `share` of the draws of training lie; share in [0, 1].
  virtual double quantile(double share) const = 0;

  /// The first place of the level at `share` of the whole range of levels, which is what clusters
  /// of equal width need; none where that range has no end.
  virtual std::optional<std::int64_t> place_at(double share) const = 0;

  /// The tables by timestep; null where levels are continuous.
  virtual const NoiseSchedule* schedule() const { return nullptr; }

  virtual at::Tensor add_noise(const at::Tensor& x0, const at::Tensor& noise,
                               const at::Tensor& levels) const = 0;
  virtual ModelInput model_input(const at::Tensor& noised, const at::Tensor& levels) const = 0;

  /// What the model should predict.
  virtual at::Tensor target(const at::Tensor& x0, const at::Tensor& noise,
                            const at::Tensor& levels) const = 0;

  /// The factor of the model's squared error at each level (loss_weighting, diffusion/loss.h):
  /// float32, [N].
  virtual at::Tensor weights(const at::Tensor& levels) const = 0;

  /// The levels that a sampler with uses_sigmas() visits, falling: options.steps of them, and at
  /// last sigma = 0. Throws UserError where sampler and formulation do not fit each other.
  virtual std::vector<NoiseLevel> sampling_levels(const SamplerOptions& options) const = 0;

  /// Of the latents that such a sampler begins with, at the noise `sigma`.
  virtual double initial_deviation(const SamplerOptions& options, double sigma) const = 0;

  /// Latents of such a sampler: x0 in the noise `sigma`.
  virtual at::Tensor at_sigma(const at::Tensor& x0, const at::Tensor& noise, double sigma) const;

  /// What the model takes x, latents of such a sampler, to be without their noise.
  virtual at::Tensor denoise(const at::Tensor& x, const NoiseLevel& level,
                             const Denoiser& denoiser) const = 0;
};

/// The process of options.formulation. Throws UserError when an option is out of range.
std::shared_ptr<const NoiseProcess> make_noise_process(const DiffusionOptions& options);

}  // namespace crescendo::diffusion
