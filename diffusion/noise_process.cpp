#include "diffusion/noise_process.h"

#include <ATen/TensorOperators.h>

#include "diffusion/edm_process.h"
#include "diffusion/flow_process.h"
#include "diffusion/noise_schedule.h"

namespace crescendo::diffusion {

at::Tensor NoiseProcess::at_sigma(const at::Tensor& x0, const at::Tensor& noise,
                                  double sigma) const {
  return x0 + sigma * noise;
}

std::shared_ptr<const NoiseProcess> make_noise_process(const DiffusionOptions& options) {
  if (options.formulation == "edm") return std::make_shared<EdmProcess>(options);
  if (options.formulation == "flow_matching") return std::make_shared<FlowProcess>(options);
  return std::make_shared<NoiseSchedule>(options);
}

}  // namespace crescendo::diffusion
