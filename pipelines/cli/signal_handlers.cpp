#include "pipelines/cli/signal_handlers.h"

#include <cerrno>

#include <unistd.h>

#include "core/interruption.h"

namespace crescendo::cli {

namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGUSR1};

// Only what is async-signal-safe.
extern "C" void take_signal(int signal) {
  if (signal == SIGUSR1) {
    request_checkpoint();
  } else if (!request_stop(signal)) {
    ::_exit(128 + signal);
  } else {
    constexpr char kText[] = "\nstops after this step; once more ends at once\n";
    const int code = errno;
    (void)!::write(STDERR_FILENO, kText, sizeof kText - 1);
    errno = code;
  }
}

}  // namespace

SignalHandlers::SignalHandlers() {
  struct sigaction action {};
  action.sa_handler = take_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &before_[i]);
  }
}

SignalHandlers::~SignalHandlers() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  clear_requests();
}

}  // namespace crescendo::cli
