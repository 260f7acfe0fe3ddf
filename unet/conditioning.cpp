#include "unet/conditioning.h"

#include <ATen/Functions.h>

#include "core/error.h"

namespace crescendo::unet {

namespace {

/// Added to the scores of what the mask drops, as in the reference: even a row of which nothing is
/// kept stays defined.
constexpr double kDroppedBias = -10000.0;

void check_sample(const UNet2DConditionOptions& o, const at::Tensor& sample,
                  const at::Tensor& timesteps) {
  const std::int64_t factor = o.downscale_factor();
  if (sample.dim() != 4 || sample.size(1) != o.in_channels || sample.size(2) % factor != 0 ||
      sample.size(3) % factor != 0) {
    throw UserError("{}: sample; expected [N, {}, H, W] with H and W multiples of {}, found [{}]",
                    kClassName, o.in_channels, factor, fmt::join(sample.sizes(), ", "));
  }
  if (timesteps.dim() != 1 || timesteps.size(0) != sample.size(0)) {
    throw UserError("{}: timesteps; expected [{}], one per sample, found [{}]", kClassName,
                    sample.size(0), fmt::join(timesteps.sizes(), ", "));
  }
}

void check_text(const UNet2DConditionOptions& o, std::int64_t n, const Conditioning& conditioning) {
  const at::Tensor& states = conditioning.encoder_hidden_states;
  const at::Tensor& mask = conditioning.encoder_attention_mask;
  if (!o.has_cross_attention()) {
    if (!states.defined() && !mask.defined()) return;
    throw UserError(
        "{}: encoder_hidden_states; expected none, because no block has "
        "cross-attention; name CrossAttn blocks in down_block_types and up_block_types "
        "to condition on text",
        kClassName);
  }
  const std::int64_t dim = o.cross_attention_dim.at(0);
  if (!states.defined()) {
    throw UserError(
        "{}: encoder_hidden_states; expected [{}, L, {}] for cross-attention, found "
        "none",
        kClassName, n, dim);
  }
  if (states.dim() != 3 || states.size(0) != n || states.size(2) != dim) {
    throw UserError("{}: encoder_hidden_states; expected [{}, L, {}], found [{}]", kClassName, n,
                    dim, fmt::join(states.sizes(), ", "));
  }
  if (mask.defined() && mask.sizes() != states.sizes().slice(0, 2)) {
    throw UserError("{}: encoder_attention_mask; expected [{}, {}], found [{}]", kClassName, n,
                    states.size(1), fmt::join(mask.sizes(), ", "));
  }
}

void check_labels(const UNet2DConditionOptions& o, std::int64_t n, const at::Tensor& labels) {
  if (o.num_class_embeds.has_value() != labels.defined()) {
    throw UserError("{}: class_labels; expected {}", kClassName,
                    labels.defined() ? "none, because num_class_embeds is null"
                                     : "one per sample for num_class_embeds, found none");
  }
  if (labels.defined() && (labels.dim() != 1 || labels.size(0) != n)) {
    throw UserError("{}: class_labels; expected [{}], one per sample, found [{}]", kClassName, n,
                    fmt::join(labels.sizes(), ", "));
  }
}

}  // namespace

Context context_of(const Conditioning& conditioning, at::ScalarType dtype) {
  Context context;
  if (const at::Tensor& states = conditioning.encoder_hidden_states; states.defined()) {
    context.states = states.to(dtype);
  }
  if (const at::Tensor& mask = conditioning.encoder_attention_mask; mask.defined()) {
    context.bias = ((1.0 - mask.to(dtype)) * kDroppedBias).unsqueeze(1).unsqueeze(1);
  }
  return context;
}

void check_inputs(const UNet2DConditionOptions& options, const at::Tensor& sample,
                  const at::Tensor& timesteps, const Conditioning& conditioning) {
  check_sample(options, sample, timesteps);
  check_text(options, sample.size(0), conditioning);
  check_labels(options, sample.size(0), conditioning.class_labels);
}

}  // namespace crescendo::unet
