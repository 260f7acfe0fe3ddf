#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataloader/loader.h"
#include "pipelines/models/conditioner.h"
#include "vae/autoencoder.h"

namespace crescendo::pipelines {

/// Samples as the U-Net is trained on them.
struct EncodedBatch {
  vae::DiagonalGaussian latents;  ///< not scaled: [N,C,h,w]
  unet::Conditioning condition;   ///< without dropout
  std::vector<std::string> keys;
  std::vector<std::uint64_t> ordinals;  ///< key the random draws of each sample
  double data_seconds = 0;              ///< that the loader was waited for
};

/// [N,3,height,width] float32 in [-1, 1].
at::Tensor images_to_tensor(const dataloader::Batch& batch, at::Device device);

/// Takes pictures and captions through the frozen models.
class BatchEncoder {
 public:
  /// The conditioner must outlive it.
  BatchEncoder(std::shared_ptr<vae::Autoencoder> vae, Conditioner& conditioner, at::Device device);

  EncodedBatch encode(const dataloader::Batch& batch);

 private:
  /// At the first and at every tenfold, so that a long run says it without flooding its log.
  void warn_of_truncation(const std::string& key);

  std::shared_ptr<vae::Autoencoder> vae_;
  Conditioner& conditioner_;
  at::Device device_;
  std::uint64_t next_warning_ = 1;  ///< truncated captions
};

}  // namespace crescendo::pipelines
