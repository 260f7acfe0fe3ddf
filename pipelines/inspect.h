#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/shards/inspect_shards.h"

namespace crescendo::pipelines {

struct InspectRequest {
  std::vector<std::string> targets;  ///< shards (paths, brace lists, globs), or one folder or
                                     ///< .safetensors file
  ShardInspection shards;
};

/// What is in shards, a model folder, a run folder or a file of weights, and what is wrong with it,
/// as an object with the key "kind" and, where something is wrong, "problems". Throws UserError
/// when the target is none of these.
nlohmann::ordered_json inspect(const InspectRequest& request);

/// The shards that the targets name; of a folder, its tars. Throws UserError when there are none.
std::vector<std::string> find_shards(const std::vector<std::string>& targets);

/// The report for a person: a line a fact, nested ones indented, numbers in columns.
std::string report_to_text(const nlohmann::ordered_json& report);

}  // namespace crescendo::pipelines
