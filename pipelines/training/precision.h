#pragma once

#include <c10/core/Device.h>

#include "core/autocast.h"
#include "pipelines/config/options.h"

namespace crescendo::pipelines {

/// What [run] says of precision: sets allow_tf32 for the process, and returns what the model in
/// training runs under. Frozen models do not: each has its own dtype. Throws UserError for fp16 on
/// the CPU.
AutocastState autocast_of(const RunOptions& run, c10::Device device);

}  // namespace crescendo::pipelines
