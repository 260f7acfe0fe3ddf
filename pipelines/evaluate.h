#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/evaluation/evaluation_report.h"
#include "pipelines/evaluation/kernel_distance.h"
#include "pipelines/generate.h"

namespace crescendo::pipelines {

struct EvaluateRequest {
  std::string images;                   ///< folder of images, or shards; "": none
  GenerateRequest drawing;              ///< how `drawing.model` draws them instead; "": no model
  std::vector<std::string> subjects;    ///< its prompts or classes; see choose_subjects()
  std::filesystem::path save_images;    ///< folder for what it draws, or none
  std::string reference;                ///< folder of images, shards or .npz; "": none
  std::filesystem::path features;       ///< see open_feature_network()
  std::filesystem::path clip;           ///< folder of a CLIP model, for `clip`
  std::vector<std::string> metrics;     ///< of metric_names(); empty: fid
  std::optional<std::int64_t> samples;  ///< no more of `images`; to draw [50000]
  std::int64_t batch_size = 32;         ///< images at a time, drawn and looked at
  std::uint64_t seed = 0;               ///< of what is chosen; image k is drawn with seed + k
  std::string resize;                   ///< as parse_feature_resize(); "": as the network wants
  KernelDistanceOptions kid;
  std::int64_t resamples = 50;  ///< for an interval of few samples; 0: none
  std::string device = "auto";
  std::filesystem::path save_statistics;  ///< .npz of the reference to write, or none
  std::filesystem::path output;           ///< JSON to write, or none
};

/// Compares a set of images with a reference. Without images it only writes the reference's
/// statistics. Warns of what makes a number hard to compare. Throws UserError or
/// DataError.
EvaluationReport evaluate(const EvaluateRequest& request);

}  // namespace crescendo::pipelines
