#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

struct ForwardPass;

/// What the passes of a step tell of their samples.
struct StepSamples {
  std::vector<std::string> keys{};
  std::vector<std::uint64_t> ordinals{};  ///< none where the task has none
  std::vector<double> losses{};
  std::vector<std::pair<std::string, std::vector<double>>> parts{};  ///< of the losses
  double data_seconds = 0;  ///< that they were waited for, on the slowest rank
  bool stopped = false;     ///< a stop broke the passes off, on some rank

  void add(const ForwardPass& pass);
};

/// Those of all ranks, the same on each: in the order of the ordinals, which is that of one rank.
/// Collective.
StepSamples samples_of_all(StepSamples here, Communicator& ranks);

double mean_of(const std::vector<double>& values);

}  // namespace crescendo::pipelines
