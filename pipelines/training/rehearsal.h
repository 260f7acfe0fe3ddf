#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/config/options.h"
#include "pipelines/distributed/communicator.h"
#include "pipelines/runs/run_folder.h"

namespace crescendo::pipelines {

/// Opens everything that the run of `config` would, takes its first two optimizer steps on the
/// data, and logs what they tell of the whole: parameters, memory, seconds a step, epochs, the time
/// to the end, the size of a checkpoint, and where `resume` would begin. Writes nothing. Throws
/// UserError for whatever the run would. Collective.
void rehearse(const TrainConfig& config, at::Device device, const Resume& resume,
              Communicator& ranks);

}  // namespace crescendo::pipelines
