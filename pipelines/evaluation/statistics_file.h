#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "pipelines/evaluation/feature_network.h"
#include "pipelines/evaluation/feature_statistics.h"

namespace crescendo::pipelines {

/// Moments of a set of images on disk, with what they are of.
struct StoredStatistics {
  Moments moments;
  std::optional<FeatureIdentity> features;  ///< none in the files of other tools
  std::int64_t samples = 0;                 ///< 0: not known
  std::string images_sha256{};              ///< FeatureSet::sha256; "": not known
};

/// Reads a .npz with `mu` [D] and `sigma` [D,D], as pytorch-fid, torch-fidelity and the suites of
/// ADM and DiT have them. Throws UserError or DataError, as read_npz() and for arrays that are not
/// there, do not fit each other or are not finite.
StoredStatistics read_statistics(const std::filesystem::path& file);

/// Writes `mu`, `sigma` and, as the bytes of a JSON text, `provenance`, which others ignore.
void write_statistics(const std::filesystem::path& file, const StoredStatistics& statistics);

}  // namespace crescendo::pipelines
