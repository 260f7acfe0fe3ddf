#include "diffusion/loss.h"

#include <algorithm>
#include <cmath>

namespace crescendo::diffusion {

namespace {

double min_snr_weight(const DiffusionOptions& options, double snr) {
  if (snr == 0) return 1;
  const double clipped = std::min(snr, options.snr_gamma);
  if (options.prediction_type == "sample") return clipped;
  if (options.prediction_type == "v_prediction") return clipped / (snr + 1);
  return clipped / snr;
}

double p2_weight(const DiffusionOptions& options, double snr) {
  const double of_epsilon = std::pow(options.p2_k + snr, -options.p2_gamma);
  if (options.prediction_type == "sample") return of_epsilon * snr;
  if (options.prediction_type == "v_prediction") return of_epsilon * snr / (snr + 1);
  return of_epsilon;
}

// The next two are written so that none of them divides 0 by 0 where snr = 0.

double debiased_weight(const DiffusionOptions& options, double snr) {
  if (options.prediction_type == "sample") return std::sqrt(snr);
  if (options.prediction_type == "v_prediction") return std::sqrt(snr) / (snr + 1);
  return 1 / std::sqrt(snr);
}

double edm_weight(const DiffusionOptions& options, double snr) {
  const double of_x0 = snr + 1 / (options.sigma_data * options.sigma_data);
  if (options.prediction_type == "sample") return of_x0;
  if (options.prediction_type == "v_prediction") return of_x0 / (snr + 1);
  return of_x0 / snr;
}

}  // namespace

double loss_weight(const DiffusionOptions& options, double snr) {
  if (options.loss_weighting == "min_snr") return min_snr_weight(options, snr);
  if (options.loss_weighting == "p2") return p2_weight(options, snr);
  if (options.loss_weighting == "debiased") return debiased_weight(options, snr);
  if (options.loss_weighting == "edm") return edm_weight(options, snr);
  return 1;
}

at::Tensor mean_squared_error(const at::Tensor& prediction, const at::Tensor& target) {
  const at::Tensor error = prediction.to(at::kFloat) - target.to(at::kFloat);
  return error.square().flatten(1).mean(1);
}

at::Tensor training_loss_per_sample(const NoiseSchedule& schedule, const at::Tensor& prediction,
                                    const at::Tensor& x0, const at::Tensor& noise,
                                    const at::Tensor& timesteps) {
  const at::Tensor error = mean_squared_error(prediction, schedule.target(x0, noise, timesteps));
  return error * schedule.weights(timesteps).to(error.device());
}

}  // namespace crescendo::diffusion
