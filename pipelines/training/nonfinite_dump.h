#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/tensor_io.h"
#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// A step whose loss or gradient was not finite, with what is needed to find out why.
struct NonfiniteStep {
  std::int64_t step = 0;  ///< counted from 1
  double grad_norm = 0;
  double learning_rate = 0;
  double loss_scale = 1;
  std::vector<std::pair<std::string, double>> losses{};          ///< of each sample, by key
  std::vector<std::pair<std::string, double>> gradient_norms{};  ///< of each parameter
  std::vector<std::pair<std::string, double>> weight_norms{};

  /// The forward pass that `inputs` are of, counted from 0: the first with a loss that is not
  /// finite, or the last.
  std::int64_t pass = 0;
  std::vector<std::string> pass_keys{};
  TensorMap inputs{};  ///< each [N,...]

  bool losses_are_finite() const;
};

/// Of the first rank with a loss that is not finite, or of rank 0; the losses are those of all.
/// Collective.
NonfiniteStep record_of_all(NonfiniteStep here, Communicator& ranks);

/// Writes nonfinite/step-NNNNNNNN/ below `run`, nonfinite.json and batch.safetensors, and returns
/// it. Throws UserError.
std::filesystem::path write_nonfinite_dump(const NonfiniteStep& step,
                                           const std::filesystem::path& run);

/// What such a folder tells, in the form of inspect(). Throws UserError.
nlohmann::ordered_json inspect_nonfinite_dump(const std::filesystem::path& folder);

}  // namespace crescendo::pipelines
