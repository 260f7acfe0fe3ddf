#pragma once

#include <cstdint>
#include <string>

#include "pipelines/monitoring/smoothed_value.h"

namespace crescendo::pipelines {

/// What an optimizer step did.
struct StepSummary {
  double loss = 0;
  double learning_rate = 0;
  std::string detail{};  ///< what only the task knows: "stage 3/8"
  std::int64_t images = 0;
  double seconds = 0;             ///< all of the step
  double data_seconds = 0;        ///< of them, those that it waited for data
  std::int64_t memory_bytes = 0;  ///< in use after it; 0: not known
};

/// What the progress bar says beside step and time left: `loss 0.1234  stage 3/8  lr 1.0e-04  12.3
/// images/s  data 3%  4.1 GB`, as Progress takes it. Loss and times are smoothed over about a
/// hundred steps.
class TrainingStatus {
 public:
  void observe(const StepSummary& step);

  /// "" before the first step.
  std::string note() const;

  double loss() const { return loss_.value(); }
  double images_per_second() const;
  double data_share() const;  ///< of the time, 0 to 1, that was spent waiting for data

 private:
  StepSummary last_;
  SmoothedValue loss_;
  SmoothedValue images_;
  SmoothedValue seconds_;
  SmoothedValue data_seconds_;
};

}  // namespace crescendo::pipelines
