#include "diffusion/loss.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace crescendo::diffusion {

namespace {

using Prediction = std::string_view;

double min_snr_weight(const DiffusionOptions& options, Prediction prediction, double snr) {
  if (snr == 0) return 1;
  const double clipped = std::min(snr, options.snr_gamma);
  if (prediction == "sample") return clipped;
  if (prediction == "v_prediction") return clipped / (snr + 1);
  return clipped / snr;
}

double p2_weight(const DiffusionOptions& options, Prediction prediction, double snr) {
  const double of_epsilon = std::pow(options.p2_k + snr, -options.p2_gamma);
  if (prediction == "sample") return of_epsilon * snr;
  if (prediction == "v_prediction") return of_epsilon * snr / (snr + 1);
  return of_epsilon;
}

// The next two are written so that none of them divides 0 by 0 where snr = 0.

double debiased_weight(Prediction prediction, double snr) {
  if (prediction == "sample") return std::sqrt(snr);
  if (prediction == "v_prediction") return std::sqrt(snr) / (snr + 1);
  return 1 / std::sqrt(snr);
}

double edm_weight(const DiffusionOptions& options, Prediction prediction, double snr) {
  const double of_x0 = snr + 1 / (options.sigma_data * options.sigma_data);
  if (prediction == "sample") return of_x0;
  if (prediction == "v_prediction") return of_x0 / (snr + 1);
  return of_x0 / snr;
}

double weight_of(const DiffusionOptions& options, Prediction prediction, double snr) {
  if (options.loss_weighting == "min_snr") return min_snr_weight(options, prediction, snr);
  if (options.loss_weighting == "p2") return p2_weight(options, prediction, snr);
  if (options.loss_weighting == "debiased") return debiased_weight(prediction, snr);
  if (options.loss_weighting == "edm") return edm_weight(options, prediction, snr);
  return 1;
}

}  // namespace

double loss_weight(const DiffusionOptions& options, double snr) {
  return weight_of(options, options.prediction_type, snr);
}

double loss_weight(const DiffusionOptions& options, double snr, double x0_scale) {
  if (options.loss_weighting == "uniform") return 1;
  return weight_of(options, "sample", snr) * x0_scale * x0_scale;
}

at::Tensor mean_squared_error(const at::Tensor& prediction, const at::Tensor& target) {
  const at::Tensor error = prediction.to(at::kFloat) - target.to(at::kFloat);
  return error.square().flatten(1).mean(1);
}

at::Tensor training_loss_per_sample(const NoiseProcess& process, const at::Tensor& prediction,
                                    const at::Tensor& x0, const at::Tensor& noise,
                                    const at::Tensor& levels) {
  const at::Tensor error = mean_squared_error(prediction, process.target(x0, noise, levels));
  return error * process.weights(levels).to(error.device());
}

}  // namespace crescendo::diffusion
