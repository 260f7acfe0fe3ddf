#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "pipelines/runs/checkpoint.h"

namespace crescendo::pipelines {

/// Writes checkpoints in a thread of its own, one at a time, while training goes on. A failure is
/// logged and remembered, never thrown: the next checkpoint is another attempt.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(std::function<void(const Checkpoint&)> write)
      : write_(std::move(write)) {}

  /// Begins to write a checkpoint of `step`, which `snapshot` makes, once the one under way is
  /// written.
  void start(std::int64_t step, const std::function<Checkpoint()>& snapshot);

  /// Returns when nothing is being written.
  void wait();

  /// The newest step that was written; -1: none. After wait().
  std::int64_t written_step() const { return written_step_; }

  /// Why the last attempt failed; empty: it did not. After wait().
  const std::string& failure() const { return failure_; }

 private:
  void fail(std::int64_t step, const std::string& reason);

  std::function<void(const Checkpoint&)> write_;
  std::int64_t written_step_ = -1;
  std::string failure_;
  std::jthread thread_;  ///< last, so that it is joined first
};

}  // namespace crescendo::pipelines
