#pragma once

#include "core/error.h"

namespace crescendo {

// What the signals of a process ask of the job that it does. The handlers belong to pipelines/cli;
// whatever waits or takes long looks here.

/// Leaves a wait or a long loop because a stop was asked for. No failure: what was whole is kept.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

/// Asks for a stop in the name of `signal`; false when one was asked for already. May be called by
/// a signal handler, as may the next.
bool request_stop(int signal) noexcept;
void request_checkpoint() noexcept;

/// The signal that asked for a stop; 0: none did.
int stop_signal() noexcept;

/// Throws Interrupted once a stop is asked for.
void throw_if_stopped();

/// True once for a checkpoint that was asked for.
bool take_checkpoint_request() noexcept;

/// Nothing is asked for any more.
void clear_requests() noexcept;

}  // namespace crescendo
