#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "dataloader/descriptor.h"
#include "pipelines/config/config.h"
#include "pipelines/config/options.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/runs/checkpoint_writer.h"
#include "pipelines/runs/metrics_log.h"

namespace crescendo::pipelines {

/// What the user said of a run folder that holds a run already. The default goes on where there is
/// something to go on from.
struct Resume {
  bool refused = false;        ///< a run there is an error
  std::filesystem::path from;  ///< a checkpoint; empty: the newest of the run
  bool allow_config_change = false;
};

/// What a run was told to do.
struct RunConfig {
  std::string command;  ///< "train", "train-vae"
  std::string toml;     ///< resolved
  nlohmann::json values;
  nlohmann::json defaults;  ///< of this version, for checkpoints of one that lacked a key
  int ranks = 1;
};

template <typename Config>
RunConfig run_config(std::string command, Config& config, int ranks = 1) {
  Config defaults;
  RunConfig made{std::move(command), config_to_toml(sections(config), false),
                 config_to_json(sections(config)), config_to_json(sections(defaults)), ranks};
  made.values["run"].erase("output_dir");  // where a run is makes it no other
  return made;
}

/// Whether the folder of a run has a model/ of its end.
bool has_finished_model(const std::filesystem::path& run);

/// The folder of a run: config.toml (resolved), log.txt, metrics.jsonl, samples/, model/ and
/// checkpoints/step-NNNNNNNN/, each of which is whole or absent. One process at a time has it.
class RunFolder {
 public:
  using Load = std::function<void(const std::filesystem::path&, const nlohmann::json&)>;

  /// Throws UserError when there is no output_dir, when it cannot be written, when another process
  /// has it, or when what it holds can neither be gone on with nor lost.
  RunFolder(const RunOptions& run, CheckpointOptions checkpoint, RunConfig config, Resume resume);

  const std::filesystem::path& path() const { return path_; }

  /// True when model/ is that of a run of this config that has come to its end.
  bool finished(std::int64_t max_train_steps) const;

  /// Loads the checkpoint that there is to go on from by calling `load` with its folder and state,
  /// and returns its step, or 0 for a new run. Of the newest ones a damaged one is passed over,
  /// with a warning; one that the user named is not. Forgets the metrics of later steps and sets
  /// their checkpoints aside, which are no longer of this run. Throws UserError when the config is
  /// not the run's.
  std::int64_t resume(const Load& load);

  /// Copies `files` and writes them and `state` as the checkpoint of `step` while the caller goes
  /// on; then deletes those that are too old, but not that of the state's best step. A failure is
  /// logged, and no reason to stop.
  void save_checkpoint(std::int64_t step, const nlohmann::json& state,
                       const std::map<std::string, TensorMap>& files);

  /// The best step that a checkpoint's state tells of; none where its own checkpoint is not here.
  BestStep best_of(const nlohmann::json& state) const;

  /// The checkpoint of the best step, once none is being written; empty where there is none.
  std::filesystem::path best_checkpoint();

  /// The step of the newest whole checkpoint of this run, once none is being written.
  std::int64_t saved_step();

  /// Appends a line to metrics.jsonl. A failure is logged, and no reason to stop.
  void log_metrics(const nlohmann::ordered_json& line) { metrics_.append(line); }

  /// Waits for the last checkpoint. Throws UserError when it could not be written.
  void require_saved();

  /// The same; then notes that model/ is of `step`, the last one.
  void finish(std::int64_t step);

 private:
  void lock();
  void require_room(bool has_checkpoint) const;
  nlohmann::json read_state(const std::filesystem::path& checkpoint) const;
  std::int64_t begin_at(std::int64_t step);
  void write(const Checkpoint& checkpoint) const;
  void delete_old_checkpoints(std::int64_t best) const;
  void set_aside_checkpoints_after(std::int64_t step) const;

  std::filesystem::path path_;
  CheckpointOptions checkpoint_;
  RunConfig config_;
  Resume resume_;
  dataloader::Descriptor lock_;
  MetricsLog metrics_;
  std::int64_t begin_ = 0;
  CheckpointWriter writer_;  ///< last: its thread uses what is above
};

}  // namespace crescendo::pipelines
