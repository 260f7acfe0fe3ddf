#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>

#include "pipelines/evaluation/inception_input.h"

namespace crescendo::pipelines {

/// What a network sees in images.
struct ImageFeatures {
  at::Tensor values;    ///< [N,D]
  at::Tensor logits{};  ///< [N,C], of classes; undefined where the network has none
};

/// Which network saw, and how images came to its size: what a number cannot be compared without.
struct FeatureIdentity {
  std::string name;    ///< "inception-v3", "clip", "torchscript"
  std::string sha256;  ///< of its weights' file
  std::string resize;  ///< as --resize calls it
};

/// A network whose features are compared.
class FeatureNetwork {
 public:
  virtual ~FeatureNetwork() = default;

  /// images: uint8 [n,3,H,W], each of one size -> of all of them in their order, float32 on its
  /// device.
  virtual ImageFeatures extract(std::span<const at::Tensor> images) = 0;

  const FeatureIdentity& identity() const { return identity_; }
  at::Device device() const { return device_; }

 protected:
  FeatureNetwork(FeatureIdentity identity, at::Device device)
      : identity_(std::move(identity)), device_(device) {}

 private:
  FeatureIdentity identity_;
  at::Device device_;
};

/// Opens
/// - a .safetensors file: the Inception-v3 of FID, whose input `resize` makes (unless told: clean);
/// - a folder: a CLIP model's image encoder, with its own resize (Clip);
/// - any other file: a TorchScript module. It gets uint8 [N,3,H,W] as the images are, as
///   torch-fidelity's and StyleGAN's do (and `return_features=True` where it has that argument),
///   and returns [N,D], or a tuple that begins with [N,D] and [N,C] of logits.
/// Throws UserError or DataError.
std::unique_ptr<FeatureNetwork> open_feature_network(const std::filesystem::path& file,
                                                     std::optional<FeatureResize> resize,
                                                     at::Device device);

}  // namespace crescendo::pipelines
