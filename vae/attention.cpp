#include "vae/attention.h"

#include <ATen/ops/scaled_dot_product_attention.h>

#include "core/group_norm.h"
#include "core/module_list.h"
#include "vae/resnet_block.h"

namespace crescendo::vae {

AttentionImpl::AttentionImpl(std::int64_t channels, std::int64_t groups) {
  group_norm_ = register_module("group_norm", torch::nn::GroupNorm(norm_of(groups, channels)));
  to_q_ = register_module("to_q", torch::nn::Linear(channels, channels));
  to_k_ = register_module("to_k", torch::nn::Linear(channels, channels));
  to_v_ = register_module("to_v", torch::nn::Linear(channels, channels));
  to_out_ = torch::nn::Linear(channels, channels);
  register_list(*this, "to_out", std::vector{to_out_});
}

at::Tensor AttentionImpl::forward(const at::Tensor& x) {
  const std::int64_t n = x.size(0);
  const std::int64_t height = x.size(2);
  const std::int64_t width = x.size(3);
  // Pixels as rows, contiguous once or each projection would copy them: [N, 1, H*W, C].
  const at::Tensor rows = group_norm(group_norm_, x)
                              .permute({0, 2, 3, 1})
                              .contiguous()
                              .view({n, 1, height * width, x.size(1)});
  const at::Tensor attended =
      at::scaled_dot_product_attention(to_q_(rows), to_k_(rows), to_v_(rows));
  return x + to_out_(attended).view({n, height, width, x.size(1)}).permute({0, 3, 1, 2});
}

}  // namespace crescendo::vae
