#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "pipelines/config/options.h"
#include "pipelines/evaluation/feature_network.h"
#include "pipelines/evaluation/metrics.h"
#include "pipelines/evaluation/reference_set.h"
#include "pipelines/evaluation/subjects.h"

namespace crescendo::pipelines {

/// FID and its kin of what a model in training draws, as [evaluate] says, drawn as [sample] says.
class PeriodicEvaluation {
 public:
  /// Opens the network and looks at the reference. `model` shares the weights that are to be
  /// judged, whatever they become. Throws UserError or DataError.
  PeriodicEvaluation(const TrainConfig& config, DiffusionModel model, at::Device device);

  /// An event for the metrics: the value of each, and `set`, by which numbers of other images,
  /// networks, references or samplers are told apart. Throws UserError where the images have no
  /// finite features, and Interrupted.
  nlohmann::ordered_json measure() const;

 private:
  EvaluateOptions options_;
  GenerationOptions generation_;
  MetricChoice metrics_;
  DiffusionModel model_;
  std::unique_ptr<FeatureNetwork> network_;
  ReferenceSet reference_;
  Subjects subjects_;
  std::string set_;
};

/// Why [evaluate] cannot be done, or "".
std::string problem_with(const EvaluateOptions& options);

}  // namespace crescendo::pipelines
