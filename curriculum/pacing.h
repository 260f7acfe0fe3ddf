#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/fields.h"

namespace crescendo::curriculum {

/// The table [curriculum.pacing]. With all but `patience` at their defaults, the rule is the
/// paper's (arXiv 2403.10348).
struct PacingOptions {
  std::string rule = "patience";     ///< "fixed": every stage has max_stage_steps steps
  std::int64_t patience = 200;       ///< tau: a stage outlasts this many steps without a new best
  double ema = 0;                    ///< smoothing of the loss; 0 paces on the loss as it is
  double min_delta = 0;              ///< a new best is lower than the last by more than this
  std::int64_t max_stage_steps = 0;  ///< cap on a stage's length; 0 is none
};

std::vector<Field> fields(PacingOptions& options);

/// Why a stage ended.
enum class StageEnd { kPatience, kMaxStageSteps };

/// The name of the option that ended the stage: "patience", "max_stage_steps".
std::string_view to_string(StageEnd reason);

/// Decides when a stage has stopped to improve:
///
///     if loss < best: best = loss, waited = 0; else waited += 1
///     if waited > patience: the stage ends
///
/// Losses of different stages are not comparable, so everything restarts with each stage, the
/// smoothed loss included.
class Pacing {
 public:
  /// Throws UserError naming the field at fault.
  explicit Pacing(const PacingOptions& options);

  /// Counts one step of the current stage, and returns why the stage ended if it did. A loss that
  /// is not finite is rejected: it changes nothing. Across ranks, pass the all-reduced loss.
  std::optional<StageEnd> observe(double loss);

  double best() const { return best_; }  ///< infinity until the stage's first step
  std::int64_t waited() const { return waited_; }
  std::int64_t steps_in_stage() const { return steps_in_stage_; }

  /// Everything that observe() depends on. A pacing that loads it goes on bit for bit.
  nlohmann::json state() const;

  /// Throws DataError when `state` is not what state() returns.
  void load_state(const nlohmann::json& state);

  void restart();

 private:
  PacingOptions options_;
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t waited_ = 0;
  std::int64_t steps_in_stage_ = 0;
  std::optional<double> smoothed_loss_;
};

}  // namespace crescendo::curriculum
