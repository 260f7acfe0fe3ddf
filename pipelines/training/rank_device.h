#pragma once

#include <string_view>

#include <c10/core/Device.h>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// select_device() for a rank: of the GPUs that it sees the one of its local rank, or the only one
/// where its launcher shows each rank another. On a CPU the ranks of a machine divide the cores,
/// unless something else has. Throws UserError for more ranks than GPUs. Collective.
c10::Device select_device(std::string_view name, Communicator& ranks);

}  // namespace crescendo::pipelines
