#include "core/linear.h"

#include <optional>

#include <ATen/Functions.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/image_format.h"
#include "core/parallel_for.h"

namespace crescendo {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr std::int64_t kMostParts = 16;
constexpr std::int64_t kRowsOfPart = 256;  // at least
/// Numbers of the weights; each part has a gradient of them.
constexpr std::int64_t kSmallWeights = 1 << 18;

/// A power of 2, so that any usual number of threads has equal shares.
std::int64_t parts_of(std::int64_t rows) {
  std::int64_t parts = 1;
  while (parts < kMostParts && rows >= 2 * parts * kRowsOfPart) parts *= 2;
  return parts;
}

struct LinearInParts : torch::autograd::Function<LinearInParts> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    return at::linear(x, weight, bias);
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& weight = saved[1];
    const at::Tensor x = saved[0].reshape({-1, weight.size(1)});
    const at::Tensor grad = gradients[0].reshape({-1, weight.size(0)}).contiguous();
    const bool of_x = context->needs_input_grad(0);
    const bool of_weight = context->needs_input_grad(1);
    const bool of_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(2);
    const std::int64_t rows = x.size(0);
    const std::int64_t parts = parts_of(rows);
    const auto empty = [&](bool wanted, at::IntArrayRef shape) {
      return wanted ? at::empty(shape, grad.options()) : at::Tensor();
    };
    const at::Tensor grad_x = empty(of_x, x.sizes());
    const at::Tensor grad_weight = empty(of_weight, {parts, weight.size(0), weight.size(1)});
    const at::Tensor grad_bias = empty(of_bias, {parts, weight.size(0)});
    parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;  // of this thread
      for (std::int64_t part = begin; part < end; ++part) {
        const auto own = [&](const at::Tensor& all) {
          return all.slice(0, part * rows / parts, (part + 1) * rows / parts);
        };
        const at::Tensor own_grad = own(grad);
        if (of_x) {
          at::Tensor to = own(grad_x);
          at::mm_out(to, own_grad, weight);
        }
        if (of_weight) {
          at::Tensor to = grad_weight[part];
          at::mm_out(to, own_grad.t(), own(x));
        }
        if (of_bias) {
          at::Tensor to = grad_bias[part];
          at::sum_out(to, own_grad, 0);
        }
      }
    });
    return {of_x ? grad_x.view(saved[0].sizes()) : at::Tensor(),
            of_weight ? grad_weight.sum(0) : at::Tensor(),
            of_bias ? grad_bias.sum(0) : at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> given = bias.defined() ? std::optional(bias) : std::nullopt;
  const bool suits = is_float32_on_cpu(x) && is_float32_on_cpu(weight) &&
                     at::GradMode::is_enabled() && weight.numel() <= kSmallWeights &&
                     parts_of(x.numel() / x.size(-1)) > 1 &&
                     !at::autocast::is_autocast_enabled(at::kCPU);
  return suits ? LinearInParts::apply(x, weight, given) : at::linear(x, weight, given);
}

at::Tensor linear(const torch::nn::Linear& layer, const at::Tensor& x) {
  return linear(x, layer->weight, layer->bias);
}

}  // namespace crescendo
