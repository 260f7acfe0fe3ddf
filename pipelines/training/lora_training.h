#pragma once

#include <cstdint>
#include <memory>

#include "core/lora.h"

namespace crescendo::pipelines {

/// A LoRA in training on a model whose own weights stay as they are and keep no gradients.
class LoraTraining {
 public:
  /// `with_average` keeps an average of A and B. Throws UserError for targets that the model does
  /// not have.
  LoraTraining(torch::nn::Module& model, const LoraOptions& options, std::uint64_t seed,
               bool with_average);

  /// A and B, for the optimizer, and their average or null.
  std::shared_ptr<torch::nn::Module> weights() { return lora_.ptr(); }
  std::shared_ptr<torch::nn::Module> average() { return average_ ? average_.ptr() : nullptr; }

  /// Makes the model what A and B make of it now, for one forward and backward pass.
  void apply();

  /// Makes the model as it is to be used, without a graph.
  void apply_trained();

  /// What is to be used: the average where there is one.
  const LoraLayers& trained() const { return (average_ ? average_ : lora_)->layers(); }

 private:
  TensorMap targets_;
  Lora lora_;
  Lora average_{nullptr};
  AdaptedWeights adapted_;
};

}  // namespace crescendo::pipelines
