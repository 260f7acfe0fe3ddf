#pragma once

#include <cstdint>
#include <vector>

#include "unet/attention.h"
#include "unet/options.h"
#include "unet/transformer.h"

namespace crescendo::unet {

struct AttentionOptions {
  AttentionKind kind = AttentionKind::kNone;
  std::int64_t heads = 1;
  std::int64_t groups = 32;      ///< of the group norm before it
  double eps = 1e-5;             ///< of that norm; self-attention only
  std::int64_t context_dim = 0;  ///< cross-attention only, as what follows
  std::int64_t layers = 1;
  bool linear_projection = false;
};

/// The attentions of one block, of one kind, in its list `attentions`. Of the kind kNone there is
/// none, and nothing is registered.
class AttentionLayers {
 public:
  /// Registers `count` attentions over `channels` with `block`.
  AttentionLayers(torch::nn::Module& block, std::int64_t channels, std::int64_t count,
                  const AttentionOptions& options);

  /// Applies attention `layer`: [N, C, H, W] -> [N, C, H, W].
  at::Tensor apply(std::size_t layer, const at::Tensor& x, const Context& context);

 private:
  std::vector<SpatialAttention> spatial_;  // at most one of the two has any
  std::vector<Transformer2D> transformers_;
};

}  // namespace crescendo::unet
