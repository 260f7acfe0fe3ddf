#include "pipelines/shards/pack_manifest.h"

#include <system_error>

#include "core/atomic_file.h"
#include "core/error.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr int kVersion = 1;

}  // namespace

std::uint64_t PackManifest::samples() const {
  std::uint64_t count = 0;
  for (const Shard& shard : shards) count += shard.samples;
  return count;
}

fs::path manifest_path(const fs::path& folder) { return folder / "pack.json"; }

std::optional<PackManifest> read_manifest(const fs::path& folder) {
  const fs::path path = manifest_path(folder);
  if (!fs::exists(path)) return std::nullopt;
  try {
    const Json file = Json::parse(read_file(path));
    if (const Json& version = file.at("crescendo_pack"); version != kVersion) {
      throw DataError("{}: expected \"crescendo_pack\": {}, found {}", path.string(), kVersion,
                      version.dump());
    }
    PackManifest manifest;
    manifest.job = file.at("job");
    manifest.complete = file.at("complete").get<bool>();
    for (const Json& shard : file.at("shards")) {
      manifest.shards.push_back(
          {shard.at("name").get<std::string>(), shard.at("samples").get<std::uint64_t>(),
           shard.at("bytes").get<std::uint64_t>(), shard.at("next").get<std::uint64_t>()});
    }
    manifest.left_out = file.at("left_out").get<std::map<std::string, std::uint64_t>>();
    return manifest;
  } catch (const Json::exception& failure) {
    throw DataError("{}: not what pack writes: {}; remove it with the shards beside it",
                    path.string(), failure.what());
  }
}

void write_manifest(const fs::path& folder, const PackManifest& manifest) {
  Json shards = Json::array();
  for (const PackManifest::Shard& shard : manifest.shards) {
    shards.push_back({{"name", shard.name},
                      {"samples", shard.samples},
                      {"bytes", shard.bytes},
                      {"next", shard.next}});
  }
  const Json file = {{"crescendo_pack", kVersion},
                     {"job", manifest.job},
                     {"complete", manifest.complete},
                     {"left_out", manifest.left_out},
                     {"shards", shards}};
  write_file_atomically(manifest_path(folder), file.dump(1) + "\n");
}

void require_resumable(const fs::path& folder, const PackManifest& manifest, const Json& job) {
  const std::string where = manifest_path(folder).string();
  const Json before = manifest.job.flatten();
  const Json now = job.flatten();
  for (const auto& [name, value] : now.items()) {
    if (before.value(name, Json()) == value) continue;
    if (name == "/listing") {
      throw UserError(
          "{}: the source has changed since the pack began (files, sizes, times, captions or "
          "labels), so it cannot go on; pack it into another folder",
          where);
    }
    throw UserError("{}: the pack cannot go on: {} was {}, now {}; give what it began with", where,
                    name.substr(1), before.value(name, Json()).dump(), value.dump());
  }
  for (const PackManifest::Shard& shard : manifest.shards) {
    std::error_code error;
    const std::uint64_t size = fs::file_size(folder / shard.name, error);
    if (error || size != shard.bytes) {
      throw UserError("{}: the pack cannot go on: expected {} with {} bytes, found {}", where,
                      shard.name, shard.bytes,
                      error ? error.message() : fmt::format("{} bytes", size));
    }
  }
}

}  // namespace crescendo::pipelines
