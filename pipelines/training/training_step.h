#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/training/gradient_buckets.h"
#include "pipelines/training/loss_scale.h"
#include "pipelines/training/nonfinite_dump.h"
#include "pipelines/training/step_samples.h"

namespace crescendo::pipelines {

class TrainingTask;
struct TrainingLoopOptions;

/// What an optimizer step came to, the same on all ranks.
struct StepResult {
  double loss = 0;
  double grad_norm = 0;
  double loss_scale = 1;
  bool skipped = false;  ///< the weights did not move: loss or gradient were not finite
  double seconds = 0;
  std::vector<std::pair<std::string, double>> parts{};  ///< of the loss, each a mean
  StepSamples samples{};
};

/// An optimizer step: forward and backward passes, whose gradients add up over passes and ranks,
/// and then the weights. A step whose loss or gradient is not finite is skipped and counted; too
/// many in a row end the run, with a dump.
class TrainingStep {
 public:
  /// Dumps go below `folder`, on rank 0. The references must outlive it.
  TrainingStep(TrainingTask& task, const TrainingLoopOptions& options,
               std::filesystem::path folder);

  /// Step `step`, counted from 0. Throws UserError after more than max_nonfinite_steps that were
  /// skipped in a row, Interrupted when a rank was stopped while it waited for data. Collective.
  StepResult take(std::int64_t step);

  /// Skipped for a loss or gradient that was not finite, in all.
  std::int64_t nonfinite_steps() const { return nonfinite_steps_; }

  nlohmann::json state() const;

  /// Throws DataError.
  void load_state(const nlohmann::json& state);

 private:
  /// Forward and backward pass `number`.
  void accumulate(std::int64_t number, StepResult& result, NonfiniteStep& record);
  double samples_wanted() const;
  void skip(StepResult& result, NonfiniteStep& record);
  void stop(const StepResult& result, NonfiniteStep& record);

  TrainingTask& task_;
  const TrainingLoopOptions& options_;
  std::filesystem::path folder_;
  LossScale scale_;
  GradientBuckets gradients_;
  std::int64_t nonfinite_steps_ = 0;
  std::int64_t nonfinite_in_a_row_ = 0;
};

}  // namespace crescendo::pipelines
