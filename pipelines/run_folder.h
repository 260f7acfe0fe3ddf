#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "pipelines/options.h"

namespace crescendo::pipelines {

/// Whether a run begins or goes on, and from where.
struct Resume {
  bool wanted = false;
  std::filesystem::path from;  ///< a checkpoint; empty: the newest of the run
};

/// A checkpoint of a run.
struct CheckpointFolder {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// The complete checkpoints of a run folder, newest first; what a killed process left is passed
/// over.
std::vector<CheckpointFolder> list_checkpoints(const std::filesystem::path& run);

/// The folder of a run: config.toml (resolved), log.txt, metrics.jsonl, samples/, model/ and
/// checkpoints/step-NNNNNNNN/, each of which is whole or absent.
class RunFolder {
 public:
  /// `config` is the resolved configuration. Throws UserError when there is no output_dir, when it
  /// cannot be written, or when it already holds a run that is not to be resumed.
  RunFolder(const RunOptions& run, const CheckpointOptions& checkpoint, const std::string& config,
            Resume resume);

  const std::filesystem::path& path() const { return path_; }

  /// Loads the checkpoint that `resume` asks for by calling `load` with its folder and state, and
  /// returns its step, or 0 when there is nothing to resume. Of the newest ones a damaged one is
  /// passed over, with a warning; one that the user named is not. Forgets the metrics of later
  /// steps and sets their checkpoints aside, which are no longer of this run. Throws UserError when
  /// the seed is not the run's.
  std::int64_t resume(
      const std::function<void(const std::filesystem::path&, const nlohmann::json&)>& load);

  /// Writes a checkpoint: `fill` writes its files, `state` becomes its state.json. Then deletes
  /// those that are too old.
  void save_checkpoint(std::int64_t step, const nlohmann::json& state,
                       const std::function<void(const std::filesystem::path&)>& fill);

  /// Appends a line to metrics.jsonl. Throws UserError when it cannot.
  void log_metrics(const nlohmann::ordered_json& line);

 private:
  /// Deletes what a process that was killed while it wrote has left half-written.
  void remove_leftovers() const;
  void forget_metrics_after(std::int64_t step);
  void set_aside_checkpoints_after(std::int64_t step);
  void open_metrics();

  std::filesystem::path path_;
  std::int64_t seed_;
  std::int64_t keep_;
  Resume resume_;
  std::ofstream metrics_;
};

}  // namespace crescendo::pipelines
