#include "text_encoder/attention.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>

namespace crescendo::text_encoder {

at::Tensor multi_head_attention(const at::Tensor& query, const at::Tensor& key,
                                const at::Tensor& value, std::int64_t heads, const at::Tensor& mask,
                                double scale) {
  const auto split = [heads](const at::Tensor& rows) {
    return rows.view({rows.size(0), rows.size(1), heads, rows.size(2) / heads}).transpose(1, 2);
  };
  const at::Tensor attended =
      at::scaled_dot_product_attention(split(query), split(key), split(value), mask,
                                       /*dropout_p=*/0.0, /*is_causal=*/false, scale);
  return attended.transpose(1, 2).reshape(query.sizes());
}

at::Tensor activate(const at::Tensor& x, const std::string& name) {
  if (name == "relu") return at::relu(x);
  if (name == "quick_gelu") return x * at::sigmoid(1.702 * x);
  return at::gelu(x, name == "gelu" ? "none" : "tanh");
}

}  // namespace crescendo::text_encoder
