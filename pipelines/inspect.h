#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

struct InspectRequest {
  std::vector<std::string> targets;  ///< shards (paths, brace lists, globs), or one model, run
                                     ///< or .safetensors file
  bool decode = false;               ///< also decode every image of the shards
};

/// What is in shards, a model folder, a run folder or a file of weights, and what is wrong with it,
/// as an object with the key "kind" and, where something is wrong, "problems". Throws UserError
/// when the target is none of these.
nlohmann::ordered_json inspect(const InspectRequest& request);

/// The same for a person: a line a fact, nested ones indented.
std::string report_to_text(const nlohmann::ordered_json& report);

}  // namespace crescendo::pipelines
