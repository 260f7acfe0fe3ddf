#include "pipelines/monitoring/training_status.h"

#include <fmt/format.h>

namespace crescendo::pipelines {

void TrainingStatus::observe(const StepSummary& step) {
  last_ = step;
  loss_.add(step.loss);
  images_.add(static_cast<double>(step.images));
  seconds_.add(step.seconds);
  data_seconds_.add(step.data_seconds);
}

double TrainingStatus::images_per_second() const {
  return seconds_.value() > 0 ? images_.value() / seconds_.value() : 0;
}

double TrainingStatus::data_share() const {
  return seconds_.value() > 0 ? data_seconds_.value() / seconds_.value() : 0;
}

std::string TrainingStatus::note() const {
  if (last_.images == 0) return "";
  std::string note = fmt::format("loss {:.4f}", loss());
  if (!last_.detail.empty()) note += "  " + last_.detail;
  const double rate = images_per_second();
  note += fmt::format("  lr {:.1e}  {:.{}f} images/s  data {:.0f}%", last_.learning_rate, rate,
                      rate < 100 ? 1 : 0, 100 * data_share());
  if (last_.memory_bytes > 0) {
    note += fmt::format("  {:.1f} GB", static_cast<double>(last_.memory_bytes) / 1e9);
  }
  return note;
}

}  // namespace crescendo::pipelines
