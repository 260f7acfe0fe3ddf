#include "unet/fused_attention.h"

#include <cmath>
#include <functional>
#include <optional>

#include <ATen/Functions.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/image_format.h"
#include "core/parallel_for.h"

namespace crescendo::unet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The heads of tensors [N, S, C] and [N, L, C], contiguous, as the kernel takes them.
struct Heads {
  at::Tensor query, key, value, bias;
  std::int64_t heads = 1;
  const AttentionKernel* kernel = nullptr;

  std::int64_t width() const { return query.size(2) / heads; }
  std::int64_t stride() const { return query.size(2); }
  std::int64_t samples() const { return query.size(0); }

  /// Where the rows of a head of a sample begin in a tensor of queries or of keys.
  std::int64_t begin(const at::Tensor& rows, std::int64_t sample, std::int64_t head) const {
    return sample * rows.size(1) * stride() + head * width();
  }

  Rows rows(const at::Tensor& tensor, std::int64_t sample, std::int64_t head) const {
    return {tensor.const_data_ptr<float>() + begin(tensor, sample, head), stride(), tensor.size(1)};
  }

  AttentionHead head(std::int64_t sample, std::int64_t number) const {
    return {.query = rows(query, sample, number),
            .key = rows(key, sample, number),
            .value = rows(value, sample, number),
            .bias = bias.defined() ? bias.const_data_ptr<float>() + sample * key.size(1) : nullptr,
            .width = width(),
            .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width())))};
  }

  /// Calls `work(sample, head, part, scratch)` for every part of every head, on all threads.
  void for_parts(
      std::int64_t parts,
      const std::function<void(std::int64_t, std::int64_t, std::int64_t, float*)>& work) const {
    parallel_for(samples() * heads * parts, 1, [&](std::int64_t begin, std::int64_t end) {
      const auto floats = static_cast<std::int64_t>(kernel->scratch_floats(head(0, 0)));
      const at::Tensor scratch = at::empty({floats}, at::kFloat);
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t of_all = item / parts;
        work(of_all / heads, of_all % heads, item % parts, scratch.mutable_data_ptr<float>());
      }
    });
  }
};

/// Of a head of a sample, in a tensor [2, N, heads, S].
SoftmaxParts parts_of(const at::Tensor& softmax, std::int64_t sample, std::int64_t head) {
  const std::int64_t begin = (sample * softmax.size(2) + head) * softmax.size(3);
  auto* largest = softmax.mutable_data_ptr<float>() + begin;
  return {.largest = largest, .inverse_sum = largest + softmax.stride(0)};
}

struct FusedAttention : torch::autograd::Function<FusedAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value, std::int64_t heads,
                            const std::optional<at::Tensor>& bias, const AttentionKernel* kernel) {
    const Heads all{query, key, value, bias.value_or(at::Tensor()), heads, kernel};
    at::Tensor output = at::empty_like(query);
    const at::Tensor softmax = at::empty({2, query.size(0), heads, query.size(1)}, query.options());
    auto* rows = output.mutable_data_ptr<float>();
    const std::int64_t blocks = (query.size(1) + kernel->lanes - 1) / kernel->lanes;
    all.for_parts(blocks, [&](auto sample, auto head, auto block, float* scratch) {
      kernel->forward(all.head(sample, head), block * kernel->lanes,
                      rows + all.begin(query, sample, head), all.stride(),
                      parts_of(softmax, sample, head), scratch);
    });
    context->save_for_backward({query, key, value, all.bias, output, softmax});
    context->saved_data["heads"] = heads;
    context->saved_data["kernel"] = reinterpret_cast<std::int64_t>(kernel);
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& query = saved[0];
    const at::Tensor& key = saved[1];
    const at::Tensor& output = saved[4];
    const at::Tensor& softmax = saved[5];
    const std::int64_t heads = context->saved_data["heads"].toInt();
    const auto* kernel =
        reinterpret_cast<const AttentionKernel*>(context->saved_data["kernel"].toInt());
    const Heads all{query, key, saved[2], saved[3], heads, kernel};
    const at::Tensor grad = gradients[0].contiguous();
    at::Tensor grad_query = at::empty_like(query);
    at::Tensor grad_key = at::empty_like(key);
    at::Tensor grad_value = at::empty_like(key);
    auto* of_query = grad_query.mutable_data_ptr<float>();
    auto* of_key = grad_key.mutable_data_ptr<float>();
    auto* of_value = grad_value.mutable_data_ptr<float>();
    all.for_parts(1, [&](auto sample, auto head, auto /*part*/, float* scratch) {
      const AttentionGradient gradient{.grad = all.rows(grad, sample, head),
                                       .output = all.rows(output, sample, head),
                                       .softmax = parts_of(softmax, sample, head)};
      const std::int64_t of_keys = all.begin(key, sample, head);
      const HeadGradients to{.query = of_query + all.begin(query, sample, head),
                             .key = of_key + of_keys,
                             .value = of_value + of_keys,
                             .stride = all.stride()};
      kernel->backward(all.head(sample, head), gradient, to, scratch);
    });
    return {grad_query, grad_key, grad_value, {}, {}, {}};
  }
};

/// In bfloat16 ATen draws as fast as the kernel, but its backward pass takes several times as long.
/// Not by whether gradients are wanted, which would change the numbers of recomputed layers.
bool is_of_mixed_precision(const at::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kBFloat16 &&
         at::autocast::is_autocast_enabled(at::kCPU);
}

at::Tensor plain(const at::Tensor& tensor) { return tensor.to(at::kFloat).contiguous(); }

}  // namespace

const AttentionKernel* kernel_for(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value, const at::Tensor& bias) {
  const auto suits = [](const at::Tensor& rows) {
    return is_float32_on_cpu(rows) || is_of_mixed_precision(rows);
  };
  if (attention_kernels().empty() || !suits(query) || !suits(key) || !suits(value)) return nullptr;
  if (bias.defined() && (!is_float32_on_cpu(bias) || bias.requires_grad())) return nullptr;
  return attention_kernels().front();
}

at::Tensor fused_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           std::int64_t heads, const at::Tensor& bias,
                           const AttentionKernel& kernel) {
  std::optional<at::Tensor> given;
  if (bias.defined()) given = bias.contiguous();
  return FusedAttention::apply(plain(query), plain(key), plain(value), heads, given, &kernel)
      .to(query.scalar_type());
}

}  // namespace crescendo::unet
