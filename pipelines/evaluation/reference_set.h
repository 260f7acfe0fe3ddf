#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/evaluation/evaluation_report.h"
#include "pipelines/evaluation/feature_network.h"
#include "pipelines/evaluation/feature_statistics.h"

namespace crescendo::pipelines {

/// What images are compared with.
struct ReferenceSet {
  Moments moments;
  at::Tensor features;                ///< [N,D], where they are kept
  std::vector<std::string> captions;  ///< of its images that have one
  std::vector<std::string> labels;    ///< of its images that have one
  ImageSetOrigin origin;
};

/// Whether `path` names a file of statistics, not images.
bool is_statistics_name(const std::string& path);

/// Reads the .npz of statistics, or looks at all images of a folder or of shards. Throws UserError,
/// naming `where`, for statistics of another network or resize, for fewer than two images, and
/// where features are to be kept of a file that has none.
ReferenceSet open_reference(const std::string& path, FeatureNetwork& network, bool keep_features,
                            std::int64_t batch_size, const std::string& where);

}  // namespace crescendo::pipelines
