#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

// What is in a model and what is wrong with it, in the form of inspect().

/// A diffusers folder or one component of it.
nlohmann::ordered_json inspect_model(const std::filesystem::path& folder);

/// A safetensors file: a checkpoint in one file, or other weights.
nlohmann::ordered_json inspect_weights(const std::filesystem::path& path);

/// What `train` wrote.
nlohmann::ordered_json inspect_run(const std::filesystem::path& folder);

}  // namespace crescendo::pipelines
