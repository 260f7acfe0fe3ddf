#pragma once

#include <cstdint>

#include <torch/nn/module.h>

namespace crescendo::text_encoder {

/// What every text model is to the encoder that holds it.
class TextModel : public torch::nn::Module {
 public:
  /// ids: int64 [N, L], mask: bool [N, L], true for tokens -> hidden states [N, L, dim()].
  virtual at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask) = 0;

  virtual std::int64_t dim() const = 0;
  virtual std::int64_t vocab_size() const = 0;

  /// The longest sequence, in tokens.
  virtual std::int64_t max_positions() const = 0;
};

}  // namespace crescendo::text_encoder
