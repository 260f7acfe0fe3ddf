#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/evaluation/evaluation_report.h"
#include "pipelines/evaluation/feature_set.h"
#include "pipelines/evaluation/kernel_distance.h"
#include "pipelines/evaluation/reference_set.h"

namespace crescendo::pipelines {

/// Numbers below that of images are compared with care, and have an interval.
constexpr std::int64_t kFewImages = 10'000;

/// fid, kid, precision, recall, is, clip.
const std::vector<std::string>& metric_names();

/// Which of them are asked for.
class MetricChoice {
 public:
  /// Throws UserError, naming `where`, for a name that is none of them.
  MetricChoice(std::vector<std::string> names, const std::string& where);

  bool has(std::string_view name) const;
  bool needs_reference() const;           ///< all but `is` and `clip` do
  bool needs_reference_features() const;  ///< and not its moments alone

  /// What is to be kept of the images that are judged.
  FeatureSetOptions kept() const;

 private:
  std::vector<std::string> names_;
};

struct MeasureOptions {
  KernelDistanceOptions kid{};
  std::int64_t resamples = 50;  ///< for the interval of a FID of few images; 0: none
  std::uint64_t seed = 0;       ///< of the resamples
  at::Device device = at::kCPU;
};

/// The numbers that are asked for but `clip` (ClipScore), in the order of metric_names(). `images`
/// are kept as kept() says, the reference with features where needs_reference_features(). Throws
/// UserError for too few images, and as the metrics do.
std::vector<MetricValue> measure(const MetricChoice& metrics, const FeatureSet& images,
                                 const ReferenceSet& reference, const MeasureOptions& options);

}  // namespace crescendo::pipelines
