#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "pipelines/evaluation/clip_score.h"
#include "pipelines/evaluation/feature_network.h"
#include "pipelines/evaluation/feature_statistics.h"
#include "pipelines/evaluation/image_source.h"

namespace crescendo::pipelines {

/// What is kept of a set of images beside its moments.
struct FeatureSetOptions {
  std::int64_t batch_size = 32;
  std::int64_t keep_features = 0;  ///< of so many images at most; of more, none are kept
  bool keep_logits = false;
  ClipScore* clip = nullptr;       ///< shown all images too, with their captions
  std::int64_t dimension = 0;      ///< that the features must have; 0: any
  std::string label = "evaluate";  ///< of the progress; "": none is shown
};

/// A set of images as a network sees it.
struct FeatureSet {
  FeatureStatistics statistics;
  at::Tensor features;                ///< [N,D], float32 on the CPU; undefined unless kept
  at::Tensor logits;                  ///< [N,C], as features
  std::string sha256;                 ///< of the sizes and pixels of all images in their order
  std::uint64_t skipped = 0;          ///< images that cannot be read
  std::vector<std::string> captions;  ///< of the images that have one
  std::vector<std::string> labels;    ///< of the images that have one

  std::int64_t count() const { return statistics.count(); }
};

/// Looks at all images of the source. Throws UserError that names the image whose features are not
/// finite, and where the network has another dimension or no logits; and Interrupted.
FeatureSet extract_features(ImageSource& images, FeatureNetwork& network,
                            const FeatureSetOptions& options);

/// Throws UserError, naming the set, for fewer than two images, which have no covariance.
void require_moments(const FeatureSet& set, const std::string& name);

}  // namespace crescendo::pipelines
