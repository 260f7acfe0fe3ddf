#include "pipelines/models/conditioner.h"

#include <ATen/Functions.h>

namespace crescendo::pipelines {

namespace {

at::Tensor labels_tensor(std::span<const std::int64_t> labels, at::Device device) {
  return at::tensor(at::ArrayRef<std::int64_t>(labels.data(), labels.size()), at::kLong).to(device);
}

/// Applies `combine` to each tensor that the two have.
template <typename Combine>
unet::Conditioning combine_each(const unet::Conditioning& first, const unet::Conditioning& second,
                                Combine combine) {
  unet::Conditioning result;
  const auto apply = [&](at::Tensor unet::Conditioning::*member) {
    if ((first.*member).defined()) result.*member = combine(first.*member, second.*member);
  };
  apply(&unet::Conditioning::encoder_hidden_states);
  apply(&unet::Conditioning::encoder_attention_mask);
  apply(&unet::Conditioning::class_labels);
  return result;
}

}  // namespace

ConditioningKind conditioning_kind(const unet::UNet2DConditionOptions& options) {
  if (options.has_cross_attention()) return ConditioningKind::kText;
  return options.num_class_embeds ? ConditioningKind::kClass : ConditioningKind::kNone;
}

Conditioner::Conditioner(ConditioningKind kind, text_encoder::TextEncoder* text_encoder,
                         std::optional<std::int64_t> null_class, at::Device device)
    : kind_(kind), text_encoder_(text_encoder), null_class_(null_class), device_(device) {
  if (kind_ != ConditioningKind::kText) return;
  const std::string empty;
  empty_caption_ = text_encoder_->encode({&empty, 1}).context.to(device_);
}

unet::Conditioning Conditioner::encode(std::span<const std::string> captions,
                                       std::span<const std::int64_t> labels) {
  unet::Conditioning condition;
  if (kind_ == ConditioningKind::kText) {
    const text_encoder::TextEmbedding embedding = text_encoder_->encode(captions);
    captions_ += captions.size();
    truncated_ += embedding.truncated.size();
    condition.encoder_hidden_states = embedding.context.to(device_);
  } else if (kind_ == ConditioningKind::kClass) {
    condition.class_labels = labels_tensor(labels, device_);
  }
  return condition;
}

unet::Conditioning Conditioner::unconditional(std::int64_t count) {
  unet::Conditioning condition;
  if (kind_ == ConditioningKind::kText) {
    condition.encoder_hidden_states = empty_caption_.expand({count, -1, -1});
  } else if (kind_ == ConditioningKind::kClass && null_class_) {
    condition.class_labels =
        at::full({count}, *null_class_, at::TensorOptions(at::kLong).device(device_));
  }
  return condition;
}

bool Conditioner::can_guide() const {
  return kind_ == ConditioningKind::kText || (kind_ == ConditioningKind::kClass && null_class_);
}

unet::Conditioning replace_rows(const unet::Conditioning& condition,
                                const unet::Conditioning& replacement, const at::Tensor& replaced) {
  return combine_each(condition, replacement,
                      [&](const at::Tensor& rows, const at::Tensor& others) {
                        std::vector<std::int64_t> shape(static_cast<std::size_t>(rows.dim()), 1);
                        shape[0] = replaced.size(0);
                        return at::where(replaced.to(rows.device()).view(shape), others, rows);
                      });
}

unet::Conditioning concatenate(const unet::Conditioning& first, const unet::Conditioning& second) {
  return combine_each(first, second, [](const at::Tensor& a, const at::Tensor& b) {
    return at::cat({a, b});
  });
}

}  // namespace crescendo::pipelines
