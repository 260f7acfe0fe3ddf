#include "core/cpu_matmul.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <torch/version.h>

namespace crescendo {

namespace {

// LibTorch has this switch since 2.9.
#if defined(__x86_64__) && (TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9)
constexpr bool kHasSwitch = true;

/// ATen hands a product to oneDNN where it may be rounded to bfloat16. oneDNN does not round it
/// where that gains nothing, which is all CPUs without matrix units.
void allow_bfloat16(bool allowed) {
  at::globalContext().setFloat32Precision(
      at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
      allowed ? at::Float32Precision::BF16 : at::Float32Precision::IEEE);
}

bool suits_cpu() { return __builtin_cpu_supports("avx512f") && !__builtin_cpu_is("intel"); }
#else
constexpr bool kHasSwitch = false;
void allow_bfloat16(bool) {}
bool suits_cpu() { return false; }
#endif

/// Whether a product keeps what bfloat16, with its 8 bits, and TF32, with 11, would lose.
bool products_are_float32() {
  const c10::InferenceMode inference;
  // In float32 the sum of 256 times 1 + 2^-12 is exact, in whatever order.
  const at::Tensor left = at::full({64, 256}, 1 + 1 / 4096.0, at::kFloat);
  const at::Tensor product = at::mm(left, at::ones({256, 64}, at::kFloat));
  return at::equal(product, at::full({64, 64}, 256 + 1 / 16.0, at::kFloat));
}

}  // namespace

bool choose_cpu_matmul() {
  if (!kHasSwitch || !suits_cpu()) return false;
  allow_bfloat16(true);
  const bool exact = products_are_float32();
  if (!exact) allow_bfloat16(false);
  return exact;
}

}  // namespace crescendo
