#include "pipelines/runs/checkpoint_writer.h"

#include <exception>
#include <utility>

#include "core/log.h"
#include "core/stopwatch.h"

namespace crescendo::pipelines {

void CheckpointWriter::start(std::int64_t step, const std::function<Checkpoint()>& snapshot) {
  const Stopwatch asked;
  wait();
  if (const double waited = asked.seconds(); waited > 1) {
    log::warn(
        "step {}: waited {:.1f} s for the former checkpoint; a larger checkpoint.every would not",
        step, waited);
  }
  try {
    thread_ = std::jthread([this, checkpoint = snapshot()] {
      try {
        write_(checkpoint);
        written_step_ = checkpoint.step;
        failure_.clear();
      } catch (const std::exception& failure) {
        fail(checkpoint.step, failure.what());
      }
    });
  } catch (const std::exception& failure) {  // no memory for the copy, or no thread
    fail(step, failure.what());
  }
}

void CheckpointWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::fail(std::int64_t step, const std::string& reason) {
  failure_ = reason;
  log::error("step {}: THE CHECKPOINT COULD NOT BE WRITTEN: {}; training goes on, {}", step, reason,
             written_step_ < 0 ? "this process has written none yet"
                               : fmt::format("the newest one is of step {}", written_step_));
}

}  // namespace crescendo::pipelines
