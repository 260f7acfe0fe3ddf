#include "unet/attention_kernel.h"

#include <vector>

namespace crescendo::unet {

#ifdef CRESCENDO_ATTENTION_KERNELS
namespace avx2 {
extern const AttentionKernel kKernel;
}
namespace avx512 {
extern const AttentionKernel kKernel;
}
#endif

std::span<const AttentionKernel* const> attention_kernels() {
  static const std::vector<const AttentionKernel*> kernels = [] {
    std::vector<const AttentionKernel*> found;
#ifdef CRESCENDO_ATTENTION_KERNELS
    if (__builtin_cpu_supports("avx512f")) found.push_back(&avx512::kKernel);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      found.push_back(&avx2::kKernel);
    }
#endif
    return found;
  }();
  return kernels;
}

}  // namespace crescendo::unet
