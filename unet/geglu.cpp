#include "unet/geglu.h"

#include <algorithm>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/cpu_kernels.h"
#include "core/image_format.h"
#include "core/parallel_for.h"

namespace crescendo::unet {

CRESCENDO_RUNNABLE_KERNELS(geglu_kernels, GegluKernel, kGeglu)

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr std::int64_t kGrain = 16384;  // numbers that are worth a thread

/// Calls `work(first row, rows)` on all threads.
template <typename Work>
void for_rows(const at::Tensor& output, const Work& work) {
  const std::int64_t width = output.size(-1);
  parallel_for(output.numel() / width, std::max<std::int64_t>(kGrain / width, 1),
               [&](std::int64_t begin, std::int64_t end) { work(begin, end - begin); });
}

struct FusedGeglu : torch::autograd::Function<FusedGeglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& halves) {
    std::vector<std::int64_t> shape = halves.sizes().vec();
    shape.back() /= 2;
    const std::int64_t width = shape.back();
    at::Tensor output = at::empty(shape, halves.options());
    const auto* input = halves.const_data_ptr<float>();
    auto* target = output.mutable_data_ptr<float>();
    for_rows(output, [&](std::int64_t first, std::int64_t rows) {
      geglu_kernels().front()->forward(input + first * 2 * width, rows, width,
                                       target + first * width);
    });
    context->save_for_backward({halves});
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const at::Tensor halves = context->get_saved_variables()[0];
    const at::Tensor grad = gradients[0].contiguous();
    const std::int64_t width = grad.size(-1);
    at::Tensor of_halves = at::empty_like(halves);
    const auto* input = halves.const_data_ptr<float>();
    const auto* given = grad.const_data_ptr<float>();
    auto* target = of_halves.mutable_data_ptr<float>();
    for_rows(grad, [&](std::int64_t first, std::int64_t rows) {
      geglu_kernels().front()->backward(input + first * 2 * width, given + first * width, rows,
                                        width, target + first * 2 * width);
    });
    return {of_halves};
  }
};

}  // namespace

at::Tensor geglu(const at::Tensor& halves) {
  const bool suits_kernel = !geglu_kernels().empty() && is_float32_on_cpu(halves);
  if (suits_kernel) return FusedGeglu::apply(halves.contiguous());
  const std::vector<at::Tensor> both = halves.chunk(2, -1);
  return both[0] * at::gelu(both[1]);
}

}  // namespace crescendo::unet
