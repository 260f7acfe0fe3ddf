#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/atomic_file.h"

namespace crescendo::pipelines {

/// Writes a run folder whose held-out losses after 0, 10, 20 ... steps are `losses`, in one cluster
/// of less and one of more noise; a step takes 2 seconds.
inline std::filesystem::path record_run(const std::filesystem::path& folder,
                                        const std::string& config,
                                        const std::vector<double>& losses,
                                        const std::string& set = "a1") {
  std::string metrics;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    for (std::size_t step = 10 * (i - 1) + 1; i > 0 && step <= 10 * i; ++step) {
      metrics += fmt::format("{{\"step\":{},\"loss\":0.5,\"seconds\":2}}\n", step);
    }
    metrics += fmt::format(
        "{{\"step\":{},\"event\":\"held_out\",\"loss\":{},\"losses\":{{\"0-4\":{},\"5-9\":{}}},"
        "\"set\":\"{}\"}}\n",
        10 * i, losses[i], losses[i] + 0.5, losses[i] - 0.5, set);
  }
  write_file_atomically(folder / "config.toml", config);
  write_file_atomically(folder / "metrics.jsonl", metrics);
  return folder;
}

}  // namespace crescendo::pipelines
