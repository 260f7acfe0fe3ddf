#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

/// FOLDER/pack.json: what is packed there, and how far. Written whole or not at all, after each
/// shard, so that whatever it tells of is complete.
struct PackManifest {
  struct Shard {
    std::string name;
    std::uint64_t samples = 0;
    std::uint64_t bytes = 0;
    std::uint64_t next = 0;  ///< where in the order of the samples the next shard begins
  };

  nlohmann::ordered_json job;  ///< source, layout, options, fingerprint of the listing
  std::vector<Shard> shards;   ///< the complete ones, in order
  std::map<std::string, std::uint64_t> left_out;  ///< up to their end, by cause
  bool complete = false;

  std::uint64_t next() const { return shards.empty() ? 0 : shards.back().next; }
  std::uint64_t samples() const;
};

std::filesystem::path manifest_path(const std::filesystem::path& folder);

/// Nothing when there is none. Throws DataError when it is malformed.
std::optional<PackManifest> read_manifest(const std::filesystem::path& folder);

void write_manifest(const std::filesystem::path& folder, const PackManifest& manifest);

/// Throws UserError when a pack of `job` cannot go on from the manifest: the job is another, or its
/// shards are not there as they were written.
void require_resumable(const std::filesystem::path& folder, const PackManifest& manifest,
                       const nlohmann::ordered_json& job);

}  // namespace crescendo::pipelines
