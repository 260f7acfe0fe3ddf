#include "unet/attention.h"

#include <optional>

#include <ATen/Functions.h>

#include "core/group_norm.h"
#include "core/linear.h"
#include "core/module_list.h"
#include "unet/fused_attention.h"

namespace crescendo::unet {

namespace {

torch::nn::Linear layer(std::int64_t in, std::int64_t out, bool bias) {
  return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(bias));
}

}  // namespace

at::Tensor to_rows(const at::Tensor& x) {
  // A view with the channels last; else contiguous once, or each projection would copy the rows.
  return x.permute({0, 2, 3, 1}).contiguous().view({x.size(0), -1, x.size(1)});
}

at::Tensor to_image(const at::Tensor& rows, const at::Tensor& like) {
  return rows.view({rows.size(0), like.size(2), like.size(3), rows.size(2)})
      .permute({0, 3, 1, 2})
      .contiguous(like.suggest_memory_format());
}

at::Tensor multi_head_attention(const at::Tensor& query, const at::Tensor& key,
                                const at::Tensor& value, std::int64_t heads,
                                const at::Tensor& bias) {
  if (const AttentionKernel* kernel = kernel_for(query, key, value, bias)) {
    return fused_attention(query, key, value, heads, bias, *kernel);
  }
  return aten_attention(query, key, value, heads, bias);
}

at::Tensor aten_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          std::int64_t heads, const at::Tensor& bias) {
  const auto split = [heads](const at::Tensor& rows) {
    return rows.view({rows.size(0), rows.size(1), heads, rows.size(2) / heads}).transpose(1, 2);
  };
  const at::Tensor attended = at::scaled_dot_product_attention(
      split(query), split(key), split(value),
      bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
  return attended.transpose(1, 2).reshape(query.sizes());
}

AttentionImpl::AttentionImpl(std::int64_t channels, std::int64_t context_dim, std::int64_t heads)
    : heads_(heads) {
  to_q_ = register_module("to_q", layer(channels, channels, false));
  to_k_ = register_module("to_k", layer(context_dim, channels, false));
  to_v_ = register_module("to_v", layer(context_dim, channels, false));
  to_out_ = layer(channels, channels, true);
  register_list(*this, "to_out", std::vector{to_out_});
}

at::Tensor AttentionImpl::forward(const at::Tensor& rows, const at::Tensor& context,
                                  const at::Tensor& bias) {
  return linear(to_out_, multi_head_attention(linear(to_q_, rows), linear(to_k_, context),
                                              linear(to_v_, context), heads_, bias));
}

SpatialAttentionImpl::SpatialAttentionImpl(std::int64_t channels, std::int64_t heads,
                                           std::int64_t groups, double eps)
    : heads_(heads) {
  group_norm_ = register_module(
      "group_norm", torch::nn::GroupNorm(torch::nn::GroupNormOptions(groups, channels).eps(eps)));
  to_q_ = register_module("to_q", layer(channels, channels, true));
  to_k_ = register_module("to_k", layer(channels, channels, true));
  to_v_ = register_module("to_v", layer(channels, channels, true));
  to_out_ = layer(channels, channels, true);
  register_list(*this, "to_out", std::vector{to_out_});
}

at::Tensor SpatialAttentionImpl::forward(const at::Tensor& x, const TaskRouting& routing) {
  const at::Tensor rows = to_rows(group_norm(group_norm_, routing(x)));
  const at::Tensor attended = linear(
      to_out_,
      multi_head_attention(linear(to_q_, rows), linear(to_k_, rows), linear(to_v_, rows), heads_));
  return x + to_image(attended, x);
}

}  // namespace crescendo::unet
