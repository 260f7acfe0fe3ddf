#pragma once

#include <span>
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

/// Defines `function`, which gives those of the constants `name` of every instruction set; none
/// where crescendo_kernels() in cmake/ compiles none.
#ifdef CRESCENDO_CPU_KERNELS
#define CRESCENDO_RUNNABLE_KERNELS(function, Kernel, name)                  \
  namespace avx2 {                                                          \
  extern const Kernel name;                                                 \
  }                                                                         \
  namespace avx512 {                                                        \
  extern const Kernel name;                                                 \
  }                                                                         \
  std::span<const Kernel* const> function() {                               \
    static const auto kernels = runnable_kernels(avx512::name, avx2::name); \
    return kernels;                                                         \
  }
#else
#define CRESCENDO_RUNNABLE_KERNELS(function, Kernel, name) \
  std::span<const Kernel* const> function() { return {}; }
#endif
