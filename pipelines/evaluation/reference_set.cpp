#include "pipelines/evaluation/reference_set.h"

#include <filesystem>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "pipelines/evaluation/feature_set.h"
#include "pipelines/evaluation/sha256.h"
#include "pipelines/evaluation/statistics_file.h"

namespace crescendo::pipelines {

namespace {

/// Refuses moments that cannot be compared with the features of `network`.
void check_statistics(const StoredStatistics& stored, const FeatureIdentity& network,
                      const std::string& file) {
  if (!stored.features) {
    log::info("{}: does not tell of which network it is; it is taken for one of {}", file,
              network.name);
    return;
  }
  const auto& [name, sha256, resize] = *stored.features;
  if (sha256 != network.sha256) {
    throw UserError(
        "{}: statistics of another network; expected {} {:.10}, as --features, found {} {:.10}",
        file, network.name, network.sha256, name, sha256);
  }
  if (resize != network.resize) {
    throw UserError("{}: statistics of --resize {}; expected {}, as the images get here", file,
                    resize, network.resize);
  }
}

}  // namespace

bool is_statistics_name(const std::string& path) {
  return std::filesystem::path(path).extension() == ".npz";
}

ReferenceSet open_reference(const std::string& path, FeatureNetwork& network, bool keep_features,
                            std::int64_t batch_size, const std::string& where) {
  if (is_statistics_name(path)) {
    if (keep_features) {
      throw UserError(
          "{}: {}: holds statistics alone; kid, precision and recall compare image by image: "
          "expected a folder of images or shards",
          where, path);
    }
    StoredStatistics stored = read_statistics(path);
    check_statistics(stored, network.identity(), path);
    return {.moments = std::move(stored.moments),
            .features = {},
            .captions = {},
            .labels = {},
            .origin = {.path = path, .samples = stored.samples, .sha256 = sha256_of_file(path)}};
  }
  const auto images = open_images(path, 0, 0, where);
  FeatureSet set = extract_features(
      *images, network,
      {.batch_size = batch_size,
       .keep_features = keep_features ? std::numeric_limits<std::int64_t>::max() : 0,
       .label = "reference"});
  require_moments(set, path);
  return {.moments = set.statistics.moments(),
          .features = std::move(set.features),
          .captions = std::move(set.captions),
          .labels = std::move(set.labels),
          .origin = {
              .path = path, .samples = set.count(), .skipped = set.skipped, .sha256 = set.sha256}};
}

}  // namespace crescendo::pipelines
