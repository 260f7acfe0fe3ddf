#pragma once

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// The ranks that this test program is.
Communicator& ranks_of_test();

}  // namespace crescendo::pipelines
