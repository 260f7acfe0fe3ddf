#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/evaluation/feature_network.h"

namespace crescendo::pipelines {

/// One number of a comparison.
struct MetricValue {
  std::string name;  ///< "fid", "kid", "precision", "recall", "is", "clip"
  double value = 0;
  std::optional<double> std{};                      ///< over subsets or splits
  std::optional<std::array<double, 2>> interval{};  ///< of 95 %, by the bootstrap
  nlohmann::ordered_json settings{};                ///< k, subsets, splits, resamples
};

/// A set of images and where it came from.
struct ImageSetOrigin {
  std::string path;          ///< folder, shards, .npz or model
  std::int64_t samples = 0;  ///< 0: not known
  std::uint64_t skipped = 0;
  std::string sha256;                ///< of the images (FeatureSet), or of the .npz
  nlohmann::ordered_json drawing{};  ///< of a model: how its images were drawn, with its hash
};

/// What was found, with all that the numbers depend on.
struct EvaluationReport {
  std::vector<MetricValue> metrics;
  ImageSetOrigin images;
  std::optional<ImageSetOrigin> reference;
  std::string features_file;
  FeatureIdentity features;
  std::int64_t dimension = 0;  ///< of the features
  std::vector<std::string> warnings;
};

nlohmann::ordered_json to_json(const EvaluationReport& report);

/// A line a metric, as a paper needs it: value, samples, network and its hash, resize, how the
/// images were drawn, and the hashes of both sides.
std::string to_text(const EvaluationReport& report);

}  // namespace crescendo::pipelines
