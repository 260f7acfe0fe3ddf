#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <ATen/core/Tensor.h>

#include "pipelines/config/options.h"
#include "pipelines/distributed/communicator.h"
#include "pipelines/monitoring/run_monitor.h"
#include "pipelines/runs/run_folder.h"
#include "pipelines/training/optimization.h"
#include "pipelines/training/step_samples.h"

namespace crescendo::pipelines {

/// One forward pass, with its graph.
struct ForwardPass {
  at::Tensor losses;              ///< [N] float32: of each sample; the step minimises their mean
  std::vector<std::string> keys;  ///< of the samples
  std::vector<std::uint64_t> ordinals{};  ///< their order among those of all ranks, if any
  /// What else is worth knowing of it, each [N] without a graph; metrics.jsonl has their means.
  std::vector<std::pair<std::string, at::Tensor>> parts{};
  TensorMap inputs{};       ///< what the losses are of, each [N,...], for a dump
  double data_seconds = 0;  ///< that it waited for the samples
};

/// What a training loop trains: the models, the data and what is minimised. The loop has the rest.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  /// The weights in training.
  virtual Optimization& optimization() = 0;

  /// What a checkpoint must know beyond the weights: the position in the data and the like.
  virtual nlohmann::json state() const = 0;

  /// The state of the whole run out of those of all its ranks, in their order.
  virtual nlohmann::json merge(std::span<const nlohmann::json> states) const;

  /// Takes over the state() of a checkpoint, before start(). Throws DataError.
  virtual void load_state(const nlohmann::json& state) = 0;

  /// Opens the data where the state stands. Throws UserError.
  virtual void start() = 0;

  /// The loss of the next batch.
  virtual ForwardPass forward() = 0;

  /// After optimizer step `step`, counted from 1, whose loss was `loss`, the mean of those of
  /// `samples`, and that was not skipped; the same on all ranks. May return events for the metrics.
  virtual std::vector<nlohmann::ordered_json> observe(std::int64_t step, double loss,
                                                      const StepSamples& samples);

  /// Adds what is known only here to the metrics of a step.
  virtual void add_metrics(nlohmann::ordered_json& metrics) const;

  /// Adds to what the progress bar says: "stage 2/7", or nothing.
  virtual std::string status() const { return {}; }

  /// The event of a held-out loss after step `step`; nothing where there is none. What it does
  /// leaves no trace in the training. Only on rank 0. Throws Interrupted.
  virtual std::optional<nlohmann::ordered_json> validate(std::int64_t step);

  /// The event of an evaluation of what is drawn after step `step`, as validate().
  virtual std::optional<nlohmann::ordered_json> evaluate(std::int64_t step);

  /// Writes pictures of step `step` under `folder`; returns the file, "" when there are none. Only
  /// on rank 0.
  virtual std::filesystem::path draw_samples(std::int64_t step,
                                             const std::filesystem::path& folder);
};

struct TrainingLoopOptions {
  std::string label;  ///< of the progress bar, and of errors
  std::uint64_t seed = 0;
  OptimizationOptions train;
  std::string mixed_precision = "no";  ///< as in [run]
  std::int64_t checkpoint_every = 1;
  std::int64_t validate_every = 0;  ///< 0: no held-out loss
  bool keep_best = false;           ///< the checkpoint of the lowest held-out loss
  std::int64_t sample_every = 0;    ///< 0: no samples
  std::int64_t evaluate_every = 0;  ///< 0: no evaluation of what is drawn
  Communicator& ranks = alone();
};

/// Trains to options.train.max_train_steps, from where the run folder resumes: accumulates
/// gradients, steps, logs, draws samples, writes checkpoints. Nothing that cannot be written ends
/// it. False: a signal did, and the last step is saved. Starts the monitor, which its caller
/// finishes. With several ranks each calls it, rank 0 with the run and its monitor and the others
/// with null: what they decide they decide together. Throws UserError.
bool run_training(TrainingTask& task, RunFolder* run, RunMonitor* monitor,
                  const TrainingLoopOptions& options);

}  // namespace crescendo::pipelines
