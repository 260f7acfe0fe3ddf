#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/monitoring/decimated_series.h"

namespace crescendo::pipelines {

/// A curve with the key that it has in metrics.jsonl.
using NamedSeries = std::pair<std::string, DecimatedSeries>;

/// A stage of the curriculum that began after `step` steps, and what is told of the one before it.
struct StageStart {
  std::int64_t step = 0;
  std::int64_t stage = 1;
  std::string ended_by;  ///< why the stage before ended
  std::int64_t steps_before = 0;
  double best_loss_before = 0;
};

/// The loss on samples that are held out of the training, after `step` steps.
struct HeldOutLoss {
  std::int64_t step = 0;
  double seconds = 0;                        ///< spent on those steps
  double loss = 0;                           ///< unweighted, of all noise levels alike
  std::map<std::string, double> clusters{};  ///< the same by noise level
  std::string set;  ///< tells which samples, noise and levels; other sets are not comparable
};

/// What [evaluate] measured after `step` steps.
struct StepEvaluation {
  std::int64_t step = 0;
  std::map<std::string, double> metrics{};
  std::string set{};  ///< tells of which images, network, reference and sampler
};

/// The numbers of a step that make curves, from its line of metrics.jsonl. `images`, `seconds` and
/// `data_seconds` (those of them that it waited for data) become "images/s" and "data wait" in
/// percent; `step`, `stage`, `epoch` and `samples` are none.
std::vector<std::pair<std::string, double>> step_values(const nlohmann::ordered_json& line);

/// What the lines of metrics.jsonl tell, in bounded memory, however many they are:
/// - a step, which has no "event";
/// - "event": "stage": a transition of the curriculum;
/// - "event": "clusters": `losses` by timesteps;
/// - "event": "held_out": a `loss`, `losses` by noise level and the `set`; few, so all are kept;
/// - "event": "evaluate": FID and its kin, and their `set`; all are kept, the last as results too;
/// - any other event, whose numbers are results.
class RunHistory {
 public:
  /// Steps come in ascending order. A line of another form is passed over.
  void observe(const nlohmann::ordered_json& line);

  std::int64_t step() const { return step_; }  ///< that were done, 0 at the beginning
  double seconds() const { return seconds_; }  ///< spent on them, over all resumptions
  std::int64_t stage() const { return stages_.empty() ? 1 : stages_.back().stage; }

  const std::vector<NamedSeries>& series() const { return series_; }
  const DecimatedSeries* find(const std::string& key) const;
  const std::vector<StageStart>& stages() const { return stages_; }
  const std::map<std::string, DecimatedSeries>& clusters() const { return clusters_; }
  const std::vector<HeldOutLoss>& held_out() const { return held_out_; }
  const std::vector<StepEvaluation>& evaluations() const { return evaluations_; }
  const std::map<std::string, double>& results() const { return results_; }

 private:
  void observe_event(const std::string& event, const nlohmann::ordered_json& line);
  void observe_held_out(const nlohmann::ordered_json& line);
  void add(const std::string& key, double value);

  std::int64_t step_ = 0;
  double seconds_ = 0;
  std::vector<NamedSeries> series_;  ///< in the order in which the keys came
  std::vector<StageStart> stages_;
  std::map<std::string, DecimatedSeries> clusters_;
  std::vector<HeldOutLoss> held_out_;
  std::vector<StepEvaluation> evaluations_;
  std::map<std::string, double> results_;
};

/// The history in a metrics.jsonl, an empty one where there is none.
RunHistory read_history(const std::filesystem::path& metrics);

}  // namespace crescendo::pipelines
