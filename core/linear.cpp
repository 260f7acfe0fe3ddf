#include "core/linear.h"

#include <algorithm>
#include <functional>
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
constexpr std::int64_t kRowsOfPart = 256;      // at least
constexpr std::int64_t kWorkOfPart = 1 << 22;  // multiplications, at least
/// Numbers of the weights; each part has a gradient of them.
constexpr std::int64_t kSmallWeights = 1 << 18;

/// Rows, cut into parts.
class RowParts {
 public:
  /// A power of 2, so that any usual number of threads has equal shares. The work of a row is told
  /// in multiplications.
  RowParts(std::int64_t rows, std::int64_t work_of_row) : rows_(rows) {
    const std::int64_t least = std::max(kRowsOfPart, kWorkOfPart / work_of_row);
    while (count_ < kMostParts && rows >= 2 * count_ * least) count_ *= 2;
  }

  std::int64_t count() const { return count_; }

  at::Tensor slice(const at::Tensor& rows, std::int64_t part) const {
    return rows.slice(0, part * rows_ / count_, (part + 1) * rows_ / count_);
  }

  /// Calls `work(part)` for each, on all threads.
  void for_each(const std::function<void(std::int64_t)>& work) const {
    parallel_for(count_, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;  // of this thread
      for (std::int64_t part = begin; part < end; ++part) work(part);
    });
  }

 private:
  std::int64_t rows_ = 0;
  std::int64_t count_ = 1;
};

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
    const RowParts parts(x.size(0), weight.numel());
    const auto empty = [&](bool wanted, at::IntArrayRef shape) {
      return wanted ? at::empty(shape, grad.options()) : at::Tensor();
    };
    const at::Tensor grad_x = empty(of_x, x.sizes());
    const at::Tensor grad_weight =
        empty(of_weight, {parts.count(), weight.size(0), weight.size(1)});
    parts.for_each([&](std::int64_t part) {
      const at::Tensor own_grad = parts.slice(grad, part);
      if (of_x) {
        at::Tensor to = parts.slice(grad_x, part);
        at::mm_out(to, own_grad, weight);
      }
      if (of_weight) {
        at::Tensor to = grad_weight[part];
        at::mm_out(to, own_grad.t(), parts.slice(x, part));
      }
    });
    return {of_x ? grad_x.view(saved[0].sizes()) : at::Tensor(),
            of_weight ? grad_weight.sum(0) : at::Tensor(),
            of_bias ? sum_of_rows(grad) : at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> given = bias.defined() ? std::optional(bias) : std::nullopt;
  const bool suits = is_float32_on_cpu(x) && is_float32_on_cpu(weight) &&
                     at::GradMode::is_enabled() && weight.numel() <= kSmallWeights &&
                     RowParts(x.numel() / x.size(-1), weight.numel()).count() > 1 &&
                     !at::autocast::is_autocast_enabled(at::kCPU);
  return suits ? LinearInParts::apply(x, weight, given) : at::linear(x, weight, given);
}

at::Tensor linear(const torch::nn::Linear& layer, const at::Tensor& x) {
  return linear(x, layer->weight, layer->bias);
}

at::Tensor sum_of_rows(const at::Tensor& rows) {
  const at::Tensor flat = rows.reshape({-1, rows.size(-1)});
  constexpr std::int64_t kWorkOfNumber = 16;  // memory takes longer than the addition
  const RowParts parts(flat.size(0), kWorkOfNumber * flat.size(1));
  const at::Tensor sums = at::empty({parts.count(), flat.size(1)}, flat.options());
  parts.for_each([&](std::int64_t part) {
    at::Tensor to = sums[part];
    at::sum_out(to, parts.slice(flat, part), 0);
  });
  return sums.sum(0);
}

}  // namespace crescendo
