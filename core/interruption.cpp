#include "core/interruption.h"

#include <atomic>

namespace crescendo {

namespace {

std::atomic<int> stop_requested{0};
std::atomic<bool> checkpoint_requested{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "signal handlers set them");

}  // namespace

bool request_stop(int signal) noexcept {
  int none = 0;
  return stop_requested.compare_exchange_strong(none, signal);
}

void request_checkpoint() noexcept { checkpoint_requested = true; }

int stop_signal() noexcept { return stop_requested; }

void throw_if_stopped() {
  if (stop_requested != 0) throw Interrupted();
}

bool take_checkpoint_request() noexcept { return checkpoint_requested.exchange(false); }

void clear_requests() noexcept {
  stop_requested = 0;
  checkpoint_requested = false;
}

}  // namespace crescendo
