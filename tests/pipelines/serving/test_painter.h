#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "pipelines/serving/painter.h"

namespace crescendo::pipelines {

/// A PNG of one colour.
std::vector<std::byte> plain_png(std::int64_t width, std::int64_t height, std::uint8_t shade);

/// Draws plain pictures, whose shade is their seed, in as many steps as asked for. It can be held
/// before a step, so that a test sees a request under way.
class TestPainter {
 public:
  explicit TestPainter(const std::string& conditioning = "text");

  /// Its functions refer to this.
  Painter painter();

  /// From the next step on it waits for step() or release().
  void hold();
  void step();
  void release();

  /// What a step takes at least.
  void set_step_time(std::chrono::milliseconds time);

  /// Waits until it is held before a step.
  void wait_until_held();

  std::vector<PaintRequest> seen() const;

  /// Steps done by all requests together.
  std::int64_t steps_done() const;

 private:
  void paint(const PaintRequest& request, const std::function<void(const PaintStep&)>& on_step,
             const std::function<void(PaintedPicture)>& take);
  void wait_for_turn();

  ServedModel model_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::milliseconds step_time_{0};
  bool is_held_ = false;
  bool is_waiting_ = false;
  std::int64_t allowed_ = 0;
  std::int64_t steps_done_ = 0;
  std::vector<PaintRequest> seen_;
};

}  // namespace crescendo::pipelines
