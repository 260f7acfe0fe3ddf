#pragma once

#include <string>
#include <vector>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// Throws UserError, on all ranks, when one has another build, configuration or data than rank 0:
/// of the shards that `patterns` name it compares names and sizes. Collective.
void require_same_beginning(Communicator& ranks, const std::string& config,
                            const std::vector<std::string>& patterns);

}  // namespace crescendo::pipelines
