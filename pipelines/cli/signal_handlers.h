#pragma once

#include <array>
#include <csignal>

namespace crescendo::cli {

/// As long as it lives, SIGINT and SIGTERM ask the job to stop, and the second of them ends the
/// process at once; SIGUSR1 asks for a checkpoint. Afterwards the signals do what they did before.
class SignalHandlers {
 public:
  SignalHandlers();
  ~SignalHandlers();
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  std::array<struct sigaction, 3> before_{};
};

}  // namespace crescendo::cli
