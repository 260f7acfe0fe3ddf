#include "unet/attention_kernel.h"

#include "core/cpu_kernels.h"

namespace crescendo::unet {

CRESCENDO_RUNNABLE_KERNELS(attention_kernels, AttentionKernel, kAttention)

}  // namespace crescendo::unet
