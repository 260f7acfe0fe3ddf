#include "core/image_format.h"

#include "core/group_norm_kernel.h"

namespace crescendo {

at::MemoryFormat image_format(const at::TensorOptions& options) {
  const at::ScalarType dtype = c10::typeMetaToScalarType(options.dtype());
  const bool has_kernel = options.device().is_cpu() && !group_norm_kernels().empty() &&
                          (dtype == at::kFloat || dtype == at::kBFloat16);
  return has_kernel ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

bool suits_kernels(const at::Tensor& x) {
  return x.dim() == 4 && image_format(x.options()) == at::MemoryFormat::ChannelsLast &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

bool is_float32_on_cpu(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

void move_to(torch::nn::Module& module, at::Device device) {
  module.to(device);
  for (at::Tensor& parameter : module.parameters()) {
    const at::MemoryFormat format = image_format(parameter.options());
    if (parameter.dim() != 4 || parameter.scalar_type() == at::kFloat ||
        parameter.is_contiguous(format)) {
      continue;
    }
    parameter.set_data(parameter.detach().contiguous(format));
  }
}

}  // namespace crescendo
