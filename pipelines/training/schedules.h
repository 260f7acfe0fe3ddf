#pragma once

#include <cstdint>

#include "pipelines/config/options.h"

namespace crescendo::pipelines {

// What changes from step to step, as functions of the step alone: a resumed run goes on where it
// was.

/// The learning rate of optimizer step `step`, counted from 0, skipped ones included: that of
/// diffusers' get_scheduler. Warm-up step s has s / lr_warmup_steps of it, so the first has none.
double learning_rate_at(const OptimizationOptions& options, std::int64_t step);

/// Over all passes of an optimizer step, on all ranks: the global batch.
std::uint64_t samples_per_step(const OptimizationOptions& options, int ranks = 1);

/// The decay of the weights' average at update `update`, counted from 0: that of diffusers'
/// EMAModel. 0 at first, so that the random start is forgotten, then ramped up to ema_decay as
/// (1 + u) / (10 + u) or, with use_ema_warmup, as 1 - (1 + u / ema_inv_gamma)^-ema_power.
double ema_decay_at(const OptimizationOptions& options, std::int64_t update);

}  // namespace crescendo::pipelines
