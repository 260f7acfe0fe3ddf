#pragma once

#include <cstdint>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "pipelines/monitoring/run_history.h"

namespace crescendo::pipelines {

/// A run of `crescendo train` as its folder tells of it, be it finished or not.
struct RecordedRun {
  std::filesystem::path path;
  std::int64_t seed = 0;
  nlohmann::json config;  ///< tables by section, without run.output_dir and run.seed
  RunHistory history;
};

/// Throws UserError for a folder that is no such run.
RecordedRun read_run(const std::filesystem::path& path);

}  // namespace crescendo::pipelines
