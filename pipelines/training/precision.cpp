#include "pipelines/training/precision.h"

#include <ATen/Context.h>

#include "core/error.h"

namespace crescendo::pipelines {

AutocastState autocast_of(const RunOptions& run, c10::Device device) {
  if (run.mixed_precision == "fp16" && device.is_cpu()) {
    throw UserError(
        "run.mixed_precision: expected \"no\" or \"bf16\" on the CPU, found \"fp16\", which is for "
        "GPUs");
  }
  at::globalContext().setAllowTF32CuBLAS(run.allow_tf32);
  at::globalContext().setAllowTF32CuDNN(run.allow_tf32);
  return {.device = device.type(),
          .enabled = run.mixed_precision != "no",
          .dtype = run.mixed_precision == "fp16" ? at::kHalf : at::kBFloat16};
}

}  // namespace crescendo::pipelines
