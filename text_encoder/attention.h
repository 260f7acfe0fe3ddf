#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace crescendo::text_encoder {

/// Multi-head softmax(scale q k^T + bias) v.
/// query, key, value: [N, L, H*d], mask: broadcastable to [N, H, L, L], boolean (true: attend) or
/// added to the scores -> [N, L, H*d].
at::Tensor multi_head_attention(const at::Tensor& query, const at::Tensor& key,
                                const at::Tensor& value, std::int64_t heads, const at::Tensor& mask,
                                double scale);

/// The activations of transformers' `hidden_act` and `feed_forward_proj`: "gelu", "gelu_new" (by
/// tanh), "quick_gelu" (x sigmoid(1.702 x)) and "relu".
at::Tensor activate(const at::Tensor& x, const std::string& name);

}  // namespace crescendo::text_encoder
