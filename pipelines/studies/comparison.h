#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/studies/recorded_run.h"

namespace crescendo::pipelines {

/// Of several runs: their mean, and their standard deviation (n - 1), 0 for a single one.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
Spread spread_of(std::span<const double> values);

/// The held-out loss of an arm after a step that all its runs were measured at.
struct ArmLoss {
  std::int64_t step = 0;
  Spread seconds;
  Spread loss;
  std::map<std::string, Spread> clusters{};
};

/// When the runs of an arm first were as good as the baseline is at its end.
struct Reaching {
  std::size_t runs = 0;  ///< that were; the others are not in the means
  Spread steps;
  Spread seconds;
};

/// Runs of one configuration but for the seed.
struct Arm {
  std::string name;
  std::vector<RecordedRun> runs;
  std::map<std::string, std::string> values;  ///< of the keys that tell the arms apart
  std::vector<ArmLoss> losses;                ///< by step
  Reaching reaching;
  std::map<std::string, Spread> evaluation{};  ///< FID and its kin, at Comparison::evaluated_step
};

struct Comparison {
  std::vector<Arm> arms;
  std::size_t baseline = 0;         ///< which of them
  double target = 0;                ///< the baseline's held-out loss at its end
  std::int64_t common_step = 0;     ///< the last at which all arms were measured
  std::int64_t evaluated_step = 0;  ///< the last at which all were evaluated alike; 0: none
  const ArmLoss& at_common_step(const Arm& arm) const;
};

/// Sorts runs into arms by what their configurations change in a step, and measures them against
/// each other. The baseline is the first arm without curriculum, else the first. Throws UserError
/// for runs without held-out losses, with such of different sets, or with no step in common.
Comparison compare_runs(std::vector<RecordedRun> runs);

/// All of it as JSON.
nlohmann::ordered_json to_json(const Comparison& comparison);

/// A line an arm, for the terminal.
std::string to_text(const Comparison& comparison);

}  // namespace crescendo::pipelines
