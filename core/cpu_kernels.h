#pragma once

#include <vector>

namespace crescendo {

/// Of one kernel for several instruction sets, those that this CPU can run, the fastest first.
template <typename Kernel>
std::vector<const Kernel*> runnable_kernels([[maybe_unused]] const Kernel& avx512,
                                            [[maybe_unused]] const Kernel& avx2) {
  std::vector<const Kernel*> found;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) found.push_back(&avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2);
#endif
  return found;
}

}  // namespace crescendo
