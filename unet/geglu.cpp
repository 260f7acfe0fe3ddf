#include "unet/geglu.h"

#include <algorithm>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/cpu_kernels.h"
#include "core/image_format.h"
#include "core/linear.h"
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

GegluRows rows_of(const at::Tensor& halves, const at::Tensor& bias, std::int64_t first,
                  std::int64_t count) {
  return {.data = halves.const_data_ptr<float>() + first * halves.size(-1),
          .bias = bias.const_data_ptr<float>(),
          .count = count,
          .width = halves.size(-1) / 2};
}

struct FusedGeglu : torch::autograd::Function<FusedGeglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& halves,
                            const at::Tensor& bias) {
    std::vector<std::int64_t> shape = halves.sizes().vec();
    shape.back() /= 2;
    at::Tensor output = at::empty(shape, halves.options());
    auto* target = output.mutable_data_ptr<float>();
    for_rows(output, [&](std::int64_t first, std::int64_t count) {
      geglu_kernels().front()->forward(rows_of(halves, bias, first, count),
                                       target + first * shape.back());
    });
    context->save_for_backward({halves, bias});
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor grad = gradients[0].contiguous();
    const std::int64_t width = grad.size(-1);
    at::Tensor of_halves = at::empty_like(saved[0]);
    const auto* given = grad.const_data_ptr<float>();
    auto* target = of_halves.mutable_data_ptr<float>();
    for_rows(grad, [&](std::int64_t first, std::int64_t count) {
      geglu_kernels().front()->backward(rows_of(saved[0], saved[1], first, count),
                                        given + first * width, target + first * 2 * width);
    });
    return {of_halves, context->needs_input_grad(1) ? sum_of_rows(of_halves) : at::Tensor()};
  }
};

}  // namespace

at::Tensor geglu(const torch::nn::Linear& projection, const at::Tensor& x) {
  const at::Tensor& bias = projection->bias;
  const bool suits_kernel = !geglu_kernels().empty() && is_float32_on_cpu(x) &&
                            is_float32_on_cpu(bias) && !at::autocast::is_autocast_enabled(at::kCPU);
  if (suits_kernel) return FusedGeglu::apply(crescendo::linear(x, projection->weight), bias);
  const std::vector<at::Tensor> both = linear(projection, x).chunk(2, -1);
  return both[0] * at::gelu(both[1]);
}

}  // namespace crescendo::unet
