#pragma once

#include <ATen/core/Tensor.h>

#include "unet/options.h"
#include "unet/task_routing.h"

namespace crescendo::unet {

/// What the prediction depends on besides sample and time; undefined means absent.
struct Conditioning {
  at::Tensor encoder_hidden_states;   ///< [N, L, D]
  at::Tensor encoder_attention_mask;  ///< [N, L], bool: true is kept; undefined keeps all
  at::Tensor class_labels;            ///< [N], int64, below num_class_embeds
};

/// What the layers look at besides the image: cross-attention at the first two.
struct Context {
  at::Tensor states;  ///< [N, L, D]; undefined where the model has no cross-attention
  at::Tensor bias;    ///< [N, 1, 1, L], added to the scores; undefined when all are kept
  TaskRouting routing{};
};

/// The context of `conditioning` for a sample of type `dtype`.
Context context_of(const Conditioning& conditioning, at::ScalarType dtype);

/// Throws UserError unless the shapes are those that UNet2DConditionModel's forward states and the
/// conditioning is what the options ask for, no less and no more.
void check_inputs(const UNet2DConditionOptions& options, const at::Tensor& sample,
                  const at::Tensor& timesteps, const Conditioning& conditioning);

}  // namespace crescendo::unet
