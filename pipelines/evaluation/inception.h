#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "core/module_io.h"

namespace crescendo::pipelines {

/// What the network makes of images.
struct InceptionFeatures {
  at::Tensor pool;    ///< [N,2048], which FID, KID, precision and recall compare
  at::Tensor logits;  ///< [N,1008], without the bias, as torch-fidelity scores them
};

/// A convolution, its batch norm with the moments of the training, ReLU; no biases but the norm's.
class InceptionConvImpl : public torch::nn::Module {
 public:
  InceptionConvImpl(std::int64_t in, std::int64_t out, std::vector<std::int64_t> kernel,
                    std::int64_t stride = 1, bool padded = true);
  at::Tensor forward(const at::Tensor& x);

  /// Registers the number of batches that its norm was trained on, which some files hold.
  void add_batch_count();

 private:
  std::int64_t stride_;
  std::vector<std::int64_t> padding_;
  std::shared_ptr<torch::nn::Module> norm_;
  at::Tensor kernel_;
  at::Tensor weight_;
  at::Tensor bias_;
  at::Tensor mean_;
  at::Tensor variance_;
};
TORCH_MODULE(InceptionConv);

/// One of the Mixed_* blocks: branches of convolutions side by side, joined along the channels.
class InceptionBlockImpl : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

/// The Inception-v3 of 2015-12-05 (Szegedy et al. 2016) whose features FID is defined on, under the
/// names of pytorch-fid's state dict. Unlike torchvision's it leaves the padding out of its average
/// pools, has a max pool in its last block, and 1008 classes.
class InceptionImpl : public torch::nn::Module {
 public:
  InceptionImpl();

  /// images: [N,3,299,299] in about [-1, 1] (at least 75 pixels a side).
  InceptionFeatures forward(const at::Tensor& images);

 private:
  std::vector<InceptionConv> stem_;
  std::vector<std::shared_ptr<InceptionBlockImpl>> blocks_;
  torch::nn::Linear fc_{nullptr};
};
TORCH_MODULE(Inception);

/// Reads the weights that pytorch-fid and torch-fidelity publish, as safetensors. Throws UserError
/// or DataError.
Inception load_inception(const std::filesystem::path& file, at::Device device);

}  // namespace crescendo::pipelines
