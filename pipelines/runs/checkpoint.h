#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/tensor_io.h"

namespace crescendo::pipelines {

// A checkpoint is a folder step-NNNNNNNN: safetensors files, state.json with the rest, and, written
// last, manifest.json with the size and CRC-32 of each of them. It is whole or absent when a write
// ends; the manifest tells what became of it afterwards.

struct Checkpoint {
  std::int64_t step = 0;
  nlohmann::json state;
  std::map<std::string, TensorMap> files;
};

/// Where a checkpoint is.
struct CheckpointFolder {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// The step of the lowest held-out loss that a run has come to, as the state of each checkpoint
/// tells it: nothing besides could be out of step after a kill.
struct BestStep {
  std::int64_t step = 0;  ///< 0: none yet
  double loss = 0;
  std::string set{};  ///< losses of other sets are not comparable

  void add_to(nlohmann::json& state) const;

  /// That of a checkpoint's state; none where it tells none.
  static BestStep from(const nlohmann::json& state);
};

/// The checkpoints of a run folder, newest first; what a killed process left is passed over. Throws
/// UserError when they cannot be listed, which is not to be taken for none.
std::vector<CheckpointFolder> list_checkpoints(const std::filesystem::path& run);

/// The folder of a step in a run folder.
std::filesystem::path checkpoint_path(const std::filesystem::path& run, std::int64_t step);

/// Copies in host memory, which training does not change.
std::map<std::string, TensorMap> copy_to_host(const std::map<std::string, TensorMap>& files);

/// Writes a whole one; its state gets the "step". Throws UserError.
void write_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);

/// The state of a checkpoint, with its "step". Throws DataError.
nlohmann::json read_checkpoint_state(const std::filesystem::path& folder);

/// Reads every file and compares it with the manifest. Throws DataError naming the first that is
/// missing or not as it was written.
void verify_checkpoint(const std::filesystem::path& folder);

/// The newest checkpoint of a run folder that is whole, with a warning for each that is passed
/// over.
std::optional<CheckpointFolder> newest_whole_checkpoint(const std::filesystem::path& run);

/// Deletes a checkpoint, so that a kill in between leaves nothing that looks like one. Failures are
/// logged.
void delete_checkpoint(const std::filesystem::path& folder);

}  // namespace crescendo::pipelines
