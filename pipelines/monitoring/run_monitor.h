#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "pipelines/monitoring/event_file.h"
#include "pipelines/monitoring/run_page.h"

namespace crescendo::pipelines {

/// Shows a run while it goes on: index.html and, for TensorBoard, an event file, both in its
/// folder. What cannot be written is logged as an error at each attempt; nothing is thrown. Nothing
/// is written before start().
class RunMonitor {
 public:
  RunMonitor(std::filesystem::path run, RunDescription description, bool tensorboard)
      : run_(std::move(run)), description_(std::move(description)), tensorboard_(tensorboard) {}
  /// A run that was not finished has stopped.
  ~RunMonitor();
  RunMonitor(const RunMonitor&) = delete;
  RunMonitor& operator=(const RunMonitor&) = delete;

  /// `begin` steps are done already, of which metrics.jsonl and samples/step-NNNNNNNN.png tell.
  void start(std::int64_t begin);

  /// A line of metrics.jsonl.
  void observe(const nlohmann::ordered_json& line);

  /// A PNG in the run folder, of the model after `step` steps.
  void add_picture(std::int64_t step, const std::filesystem::path& file);

  /// The last to be told.
  void finish(RunState state);

 private:
  static void attempt(const std::function<void()>& write);
  void send_to_tensorboard(const nlohmann::ordered_json& line);

  std::filesystem::path run_;
  RunDescription description_;
  bool tensorboard_;
  std::optional<RunPage> page_;
  std::optional<EventFile> events_;
  bool finished_ = false;
};

}  // namespace crescendo::pipelines
