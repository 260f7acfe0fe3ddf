#include "unet/attention_layers.h"

#include "core/module_list.h"

namespace crescendo::unet {

AttentionLayers::AttentionLayers(torch::nn::Module& block, std::int64_t channels,
                                 std::int64_t count, const AttentionOptions& options) {
  if (options.kind == AttentionKind::kSelf) {
    for (std::int64_t i = 0; i < count; ++i) {
      spatial_.emplace_back(channels, options.heads, options.groups, options.eps);
    }
    register_list(block, "attentions", spatial_);
  } else if (options.kind == AttentionKind::kCross) {
    for (std::int64_t i = 0; i < count; ++i) {
      transformers_.emplace_back(
          TransformerOptions{.channels = channels,
                             .heads = options.heads,
                             .context_dim = options.context_dim,
                             .layers = options.layers,
                             .groups = options.groups,
                             .linear_projection = options.linear_projection});
    }
    register_list(block, "attentions", transformers_);
  }
}

at::Tensor AttentionLayers::apply(std::size_t layer, const at::Tensor& x, const Context& context) {
  if (!spatial_.empty()) return spatial_[layer](x, context.routing);
  if (!transformers_.empty()) return transformers_[layer](x, context);
  return x;
}

}  // namespace crescendo::unet
