#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/config/options.h"

namespace crescendo::pipelines {

// cache.json, in the folder of a cache of latents: what it was made of. A run whose config says
// otherwise is refused, so that a changed image, model or crop is never served stale.

/// What decides the content of a cache, by the keys of the config; of models, a fingerprint of
/// their files.
nlohmann::ordered_json cache_recipe(const TrainConfig& config);

/// Writes cache.json, last of all, so that an unfinished cache has none.
void write_cache_manifest(const std::filesystem::path& folder, const nlohmann::ordered_json& recipe,
                          const std::vector<std::string>& source_shards);

/// The folder of the cache that `patterns` name shards of; empty when they name none. Throws
/// UserError when only some are, or when they are of several.
std::filesystem::path cache_folder_of(const std::vector<std::string>& patterns);

/// Throws UserError that lists every difference between what the cache in `folder` was made of and
/// what `config` asks for, and every source that has changed since: by size and time, and where
/// only the time differs, by content. `by_content` reads every source, which takes as long as it
/// takes.
void check_cache(const std::filesystem::path& folder, const TrainConfig& config,
                 bool by_content = false);

}  // namespace crescendo::pipelines
