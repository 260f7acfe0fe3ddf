#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/serving/painter.h"

namespace crescendo::pipelines {

/// The requests that wait for the one thread that has the model.
class JobQueue {
 public:
  struct Outcome {
    std::vector<PaintedPicture> pictures{};
    bool is_interrupted = false;  ///< before all of them were drawn
  };

  /// How far the request is that is being drawn.
  struct Progress {
    bool is_active = false;
    std::string task_id{};
    std::int64_t step = 0;  ///< of all its pictures together
    std::int64_t steps = 0;
    double seconds = 0;  ///< since it began
    bool is_interrupted = false;
    bool is_skipped = false;           ///< what is drawn at this time, from its next step on
    std::size_t waiting = 0;           ///< requests behind it
    std::uint64_t preview_number = 0;  ///< grows with each preview; 0: there is none
    std::optional<dataloader::Image> preview{};
  };

  enum class TaskState { kUnknown, kWaiting, kActive, kDone };

  /// At most `most_waiting` requests beside the one that is being drawn.
  explicit JobQueue(std::size_t most_waiting) : most_waiting_(most_waiting) {}

  /// Waits until the request is drawn. `is_gone` is asked several times a second whether the client
  /// has left, which takes the request back. Throws ApiError (429 when too many wait, 503 when the
  /// server ends, 499 for a client that has left) and what the painter throws.
  Outcome run(PaintRequest request, std::string task_id, const std::function<bool()>& is_gone);

  /// Draws what comes, until `check_stop`, which is called at every step and several times a second
  /// between requests, throws; then the waiting ones end with 503, and what was thrown goes on.
  void work(const Painter& painter, const std::function<void()>& check_stop);

  /// Asking for a preview makes the next step provide one.
  Progress progress(bool with_preview);

  TaskState task_state(const std::string& task_id) const;

  /// Ends the drawing of the current request; its client gets the pictures that are done.
  void interrupt();

  /// Leaves out what is drawn at this time and goes on with the rest of the request.
  void skip();

  /// Every waiting and later request ends with 503.
  void close();

 private:
  struct Job {
    PaintRequest request{};
    std::string task_id{};
    Outcome outcome{};
    std::exception_ptr failure{};
    bool is_abandoned = false;  ///< nobody waits for it any more
    bool is_done = false;
  };

  std::shared_ptr<Job> next();
  void paint(const Painter& painter, Job& job, const std::function<void()>& check_stop);
  void observe(Job& job, const PaintStep& step);
  void take(Job& job, PaintedPicture picture);
  void finish(Job& job);

  const std::size_t most_waiting_;
  mutable std::mutex mutex_;  ///< of all below
  std::condition_variable arrived_;
  std::condition_variable done_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::shared_ptr<Job> active_;
  Progress progress_;
  std::chrono::steady_clock::time_point began_;
  std::deque<std::string> done_tasks_;  ///< the last few
  bool wants_preview_ = false;
  bool is_closed_ = false;
};

}  // namespace crescendo::pipelines
