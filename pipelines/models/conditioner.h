#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "text_encoder/text_encoder.h"
#include "unet/conditioning.h"

namespace crescendo::pipelines {

enum class ConditioningKind { kNone, kClass, kText };

/// What a U-Net with these options is conditioned on.
ConditioningKind conditioning_kind(const unet::UNet2DConditionOptions& options);

/// Turns captions and labels into what the U-Net is conditioned on. As in Stable Diffusion, text is
/// attended to with its padding: the U-Net gets no mask.
class Conditioner {
 public:
  /// `text_encoder` for text, and it must outlive the conditioner; `null_class` for classes, where
  /// the model has an embedding that stands for no class.
  Conditioner(ConditioningKind kind, text_encoder::TextEncoder* text_encoder,
              std::optional<std::int64_t> null_class, at::Device device);

  ConditioningKind kind() const { return kind_; }

  /// Of N samples; what the kind does not use may be empty.
  unet::Conditioning encode(std::span<const std::string> captions,
                            std::span<const std::int64_t> labels);

  /// Of N samples without a condition: the empty caption, or the null class.
  unet::Conditioning unconditional(std::int64_t count);

  /// False where there is no condition, or no class that stands for none.
  bool can_guide() const;

  std::uint64_t captions() const { return captions_; }  ///< that were encoded
  std::uint64_t truncated_captions() const { return truncated_; }

 private:
  ConditioningKind kind_;
  text_encoder::TextEncoder* text_encoder_;
  std::optional<std::int64_t> null_class_;
  at::Device device_;
  at::Tensor empty_caption_;  ///< [1, L, D]
  std::uint64_t captions_ = 0;
  std::uint64_t truncated_ = 0;
};

/// The rows of `condition`, with those of `replacement` where `replaced` ([N], bool) is true.
unet::Conditioning replace_rows(const unet::Conditioning& condition,
                                const unet::Conditioning& replacement, const at::Tensor& replaced);

/// One batch out of two.
unet::Conditioning concatenate(const unet::Conditioning& first, const unet::Conditioning& second);

}  // namespace crescendo::pipelines
