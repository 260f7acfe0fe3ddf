#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipelines/evaluation/clip_model.h"

namespace crescendo::pipelines {

/// How well images fit their captions: 100 times the cosine between CLIP's features of both, not
/// below 0, averaged (Hessel et al. 2021, with the factor of torchmetrics).
class ClipScore {
 public:
  explicit ClipScore(Clip clip) : clip_(std::move(clip)) {}

  /// images: uint8 [n,3,H,W], each of one size; `captions` are of all of them, "" of one that has
  /// none and is left out.
  void add(std::span<const at::Tensor> images, const std::vector<std::string>& captions);

  std::int64_t count() const { return count_; }

  /// Throws UserError where no image had a caption.
  double mean() const;
  double std() const;  ///< over the images, of N

  const std::string& sha256() const { return clip_.sha256(); }

 private:
  Clip clip_;
  std::int64_t count_ = 0;
  double sum_ = 0;
  double squares_ = 0;
};

}  // namespace crescendo::pipelines
