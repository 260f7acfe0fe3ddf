#include "unet/attention_kernel.h"

#include "core/cpu_kernels.h"

namespace crescendo::unet {

#ifdef CRESCENDO_CPU_KERNELS
namespace avx2 {
extern const AttentionKernel kAttention;
}
namespace avx512 {
extern const AttentionKernel kAttention;
}

std::span<const AttentionKernel* const> attention_kernels() {
  static const auto kernels = runnable_kernels(avx512::kAttention, avx2::kAttention);
  return kernels;
}
#else
std::span<const AttentionKernel* const> attention_kernels() { return {}; }
#endif

}  // namespace crescendo::unet
