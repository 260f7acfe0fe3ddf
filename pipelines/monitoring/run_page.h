#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "pipelines/monitoring/picture_strip.h"
#include "pipelines/monitoring/run_history.h"

namespace crescendo::pipelines {

enum class RunState { kRunning, kFinished, kStopped };

/// What a run's page says of it besides its metrics.
struct RunDescription {
  std::string command{};    ///< "train"
  std::string config{};     ///< TOML, shown folded
  std::int64_t steps = 0;   ///< at which it ends
  std::int64_t stages = 1;  ///< of the curriculum
  std::string what{};       ///< one line: the model, the device
};

/// The index.html of a run folder: state, curves, stages and sample pictures at a glance. It needs
/// nothing but itself: small copies of the pictures are in it, which link to those in the folder.
/// While the run goes on it loads itself anew.
class RunPage {
 public:
  /// `folder` is named in the title; `history` is what went before, in a run that is resumed. The
  /// page is written at most every `interval`, and asks its browser to load it as often.
  RunPage(std::filesystem::path folder, RunDescription description, RunHistory history,
          std::chrono::seconds interval);

  /// A line of metrics.jsonl.
  void observe(const nlohmann::ordered_json& line) { history_.observe(line); }

  /// A picture, in the folder, of the model after `step` steps.
  void add_picture(std::int64_t step, const std::filesystem::path& file);

  /// Writes the page when it is due. Throws UserError when it cannot.
  void refresh();

  /// Writes the page now. Throws UserError when it cannot.
  void write(RunState state);

  const RunHistory& history() const { return history_; }

 private:
  std::filesystem::path folder_;
  RunDescription description_;
  RunHistory history_;
  PictureStrip pictures_;
  std::chrono::seconds interval_;
  std::chrono::steady_clock::time_point written_;
};

}  // namespace crescendo::pipelines
