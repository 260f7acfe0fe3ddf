#include "pipelines/training/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace crescendo::pipelines {

double learning_rate_at(const OptimizationOptions& options, std::int64_t step) {
  const std::int64_t warm_up = options.lr_warmup_steps;
  if (step < warm_up) {
    return options.learning_rate * static_cast<double>(step) / static_cast<double>(warm_up);
  }
  const auto total = std::max<std::int64_t>(options.max_train_steps - warm_up, 1);
  const double progress =
      std::min(static_cast<double>(step - warm_up) / static_cast<double>(total), 1.0);
  if (options.lr_scheduler == "linear") return options.learning_rate * (1 - progress);
  if (options.lr_scheduler == "cosine") {
    return options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * progress));
  }
  return options.learning_rate;
}

std::uint64_t samples_per_step(const OptimizationOptions& options, int ranks) {
  return static_cast<std::uint64_t>(options.train_batch_size * options.gradient_accumulation_steps *
                                    ranks);
}

double ema_decay_at(const OptimizationOptions& options, std::int64_t update) {
  if (update == 0) return 0;
  const auto u = static_cast<double>(update);
  const double ramp = options.use_ema_warmup
                          ? 1 - std::pow(1 + u / options.ema_inv_gamma, -options.ema_power)
                          : (1 + u) / (10 + u);
  return std::min(ramp, options.ema_decay);
}

}  // namespace crescendo::pipelines
