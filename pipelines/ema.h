#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace crescendo::pipelines {

/// `crescendo ema`: an average that a run did not keep, combined from the snapshots of those that
/// it did.
struct EmaRequest {
  std::filesystem::path run;
  double sigma_rel = 0.1;            ///< width of the average, relative to the run until `step`
  std::optional<std::int64_t> step;  ///< nothing: the last snapshot's
  std::filesystem::path output;      ///< folder of the model, or of the LoRA's file
};

/// Writes the model with the averaged U-Net and returns its folder; of a LoRA the file. Throws
/// UserError.
std::filesystem::path make_ema(const EmaRequest& request);

}  // namespace crescendo::pipelines
