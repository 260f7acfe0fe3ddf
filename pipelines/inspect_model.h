#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

// What is in a folder and what is wrong with it, in the form of inspect().

/// A diffusers folder or one component of it.
nlohmann::ordered_json inspect_model(const std::filesystem::path& folder);

/// What `train` wrote.
nlohmann::ordered_json inspect_run(const std::filesystem::path& folder);

}  // namespace crescendo::pipelines
