#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include "core/tensor_io.h"
#include "pipelines/training/posthoc_ema.h"

namespace crescendo::pipelines {

/// A file of posthoc_ema/ in a run folder.
struct PosthocSnapshot {
  std::filesystem::path path;
  std::int64_t step = 0;
  PowerProfile profile;
};

/// Writes posthoc_ema/step-NNNNNNNN-SIGMA.safetensors below `run` for each average, by its
/// sigma_rel.
void write_posthoc_snapshots(const std::filesystem::path& run, std::int64_t step,
                             std::int64_t updates, const std::map<double, TensorMap>& averages);

/// Those of a run, oldest first. Throws DataError.
std::vector<PosthocSnapshot> list_posthoc_snapshots(const std::filesystem::path& run);

/// Deletes those of later steps, which a resumed run will write again.
void forget_posthoc_snapshots_after(const std::filesystem::path& run, std::int64_t step);

/// The sum of each tensor over `snapshots`, times `factors`. Throws DataError when they are not of
/// one model.
TensorMap add_up(const std::vector<PosthocSnapshot>& snapshots, const std::vector<double>& factors);

}  // namespace crescendo::pipelines
