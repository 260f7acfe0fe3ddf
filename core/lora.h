#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "core/lora_options.h"
#include "core/tensor_io.h"

namespace crescendo {

// Low-rank adaptation (Hu et al., arXiv 2106.09685): a layer of weight W computes as if its weight
// were W + (alpha / rank) B A. No model knows of it: what changes is the weight itself.

/// The change of one layer.
struct LoraLayer {
  at::Tensor down;   ///< A, [rank, in], of a convolution [rank, in, h, w]
  at::Tensor up;     ///< B, [out, rank], of a convolution [out, rank, 1, 1]
  double alpha = 0;  ///< the product is scaled by alpha / rank

  std::int64_t rank() const { return down.size(0); }

  /// True when it can be added to a weight of `shape`, [out, in, ...].
  bool fits(at::IntArrayRef shape) const;

  /// (alpha / rank) B A, of `shape`, in the type of A and B.
  at::Tensor change(at::IntArrayRef shape) const;
};

/// By the names of the layers in their model.
using LoraLayers = std::map<std::string, LoraLayer>;

/// The weights of the linear maps and convolutions of `model`, by the names of these layers (the
/// tensors themselves, not copies).
TensorMap adaptable_weights(const torch::nn::Module& model);

/// Of these the ones that options.target_modules name: an entry names the layers it is the name of,
/// or the end of the name behind a dot, as in peft. Throws UserError for an entry that names none.
TensorMap lora_targets(const torch::nn::Module& model, const LoraOptions& options);

/// Adds `scale` times the changes to the weights of `model`, for good. Every layer must be there
/// and fit. The sum is made in float32 and rounded once.
void merge_lora(torch::nn::Module& model, const LoraLayers& layers, double scale);

/// A and B of every target as a module whose parameters have the names of peft's state dict:
/// LAYER.lora_A.weight, LAYER.lora_B.weight. A begins as normal noise of deviation 1 / rank
/// (init_lora_weights = "gaussian"), a function of seed and layer; B as zeros, so that a model is
/// at first what it was.
class LoraImpl : public torch::nn::Module {
 public:
  LoraImpl(const TensorMap& targets, const LoraOptions& options, std::uint64_t seed);

  /// Its present layers, which share the parameters.
  const LoraLayers& layers() const { return layers_; }

 private:
  LoraLayers layers_;
};
TORCH_MODULE(Lora);

/// The target weights of a frozen model, which can be made what a LoRA in training makes of them.
class AdaptedWeights {
 public:
  /// Keeps copies of `targets` as they are now, and takes their gradients off.
  explicit AdaptedWeights(TensorMap targets);

  /// Makes the weights in the model base + change. In grad mode they are functions of A and B then,
  /// so that a backward pass through the model reaches these; it also frees that graph, which is
  /// why every forward pass that is to be learned from needs a call before it.
  void apply(const LoraLayers& layers);

 private:
  TensorMap targets_;
  TensorMap bases_;
};

}  // namespace crescendo
