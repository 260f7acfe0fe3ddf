#include "pipelines/training/cache_manifest.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/weight_files.h"
#include "dataloader/buckets.h"
#include "dataloader/plain_file.h"
#include "pipelines/models/model_folder.h"
#include "pipelines/shards/fingerprint.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kManifest = "cache.json";

/// Names, shapes and a part of every tensor: other weights differ everywhere, and reading several
/// GB at each start would not find more.
void add_weights(Fingerprint& fingerprint, const fs::path& folder) {
  constexpr std::size_t kPart = 1024;
  const WeightFiles files(weights_file_in(folder));
  for (const auto& [name, tensor] : files.tensors()) {
    fingerprint.add(
        fmt::format("{} {} [{}]", name, tensor.entry->dtype, fmt::join(tensor.entry->shape, ",")));
    const auto bytes = tensor.bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    fingerprint.add(text.substr(0, kPart));
    fingerprint.add(text.substr(text.size() - std::min(kPart, text.size())));
  }
}

std::string model_fingerprint(const fs::path& folder) {
  Fingerprint fingerprint;
  fingerprint.add(read_file(folder / "config.json"));
  add_weights(fingerprint, folder);
  return fmt::format("{:016x}", fingerprint.value());
}

/// Every file beside each other, but for the weights of a folder that holds both.
std::string tokenizer_fingerprint(const fs::path& folder) {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() != ".safetensors") {
      files.insert(entry.path());
    }
  }
  Fingerprint fingerprint;
  for (const fs::path& file : files) fingerprint.add(read_file(file));
  return fmt::format("{:016x}", fingerprint.value());
}

/// zlib's CRC-32 of the whole file.
std::uint32_t crc32_of_file(const std::string& path) {
  const dataloader::PlainFile file(path);
  return file.crc32(0, file.size());
}

/// What a shard is known by; of a command or a pipe only its name.
nlohmann::ordered_json source_of(const std::string& shard) {
  nlohmann::ordered_json source = {{"path", fs::absolute(shard).string()}};
  if (!fs::is_regular_file(shard)) return source;
  source["bytes"] = fs::file_size(shard);
  source["modified"] = fs::last_write_time(shard).time_since_epoch().count();
  source["crc32"] = crc32_of_file(shard);
  return source;
}

/// By size and time, which costs nothing; by content where the time alone differs, as of a copy, or
/// where it is asked for.
bool is_changed(const nlohmann::json& source, bool by_content) {
  const std::string path = source.value("path", "");
  if (!fs::is_regular_file(path)) return false;
  if (source.value("bytes", nlohmann::json()) != fs::file_size(path)) return true;
  const auto modified = fs::last_write_time(path).time_since_epoch().count();
  if (source.value("modified", nlohmann::json()) == modified && !by_content) return false;
  return source.value("crc32", nlohmann::json()) != crc32_of_file(path);
}

}  // namespace

nlohmann::ordered_json cache_recipe(const TrainConfig& config) {
  nlohmann::ordered_json recipe;
  recipe["data.resolution"] = config.data.resolution;
  if (config.data.enable_bucket) {
    for (const dataloader::Size& size : dataloader::bucket_sizes(config.data)) {
      recipe["data.enable_bucket"].push_back({size.width, size.height});
    }
  }
  recipe["data.image_interpolation_mode"] = config.data.image_interpolation_mode;
  recipe["data.background"] = config.data.background;
  if (config.data.jpeg_scaled_decoding) recipe["data.jpeg_scaled_decoding"] = true;
  recipe["train.conditioning"] = config.conditioning.conditioning;
  recipe["vae.path"] = config.vae.none()
                           ? config.vae.path
                           : model_fingerprint(component_folder(config.vae.path, "vae"));
  if (config.conditioning.conditioning == "class") {
    recipe["data.label"] = config.data.label;
    recipe["data.class_names"] = config.data.class_names;
  }
  if (config.conditioning.conditioning != "text") return recipe;
  const fs::path path = config.text_encoder.path;
  recipe["data.caption"] = config.data.caption;
  recipe["data.caption_line"] = config.data.caption_line;
  recipe["text_encoder.path"] = model_fingerprint(component_folder(path, "text_encoder"));
  recipe["tokenizer"] = tokenizer_fingerprint(component_folder(path, "tokenizer"));
  recipe["text_encoder.max_length"] = config.text_encoder.max_length;
  recipe["text_encoder.dtype"] = config.text_encoder.dtype;
  return recipe;
}

void write_cache_manifest(const fs::path& folder, const nlohmann::ordered_json& recipe,
                          const std::vector<std::string>& source_shards) {
  nlohmann::ordered_json sources = nlohmann::ordered_json::array();
  for (const std::string& shard : source_shards) sources.push_back(source_of(shard));
  const nlohmann::ordered_json manifest = {{"recipe", recipe}, {"sources", sources}};
  write_file_atomically(folder / kManifest, manifest.dump(2) + "\n");
}

fs::path cache_folder_of(const std::vector<std::string>& patterns) {
  std::set<std::string> folders;
  for (const std::string& pattern : patterns) {
    const fs::path folder = fs::path(pattern).parent_path();
    folders.insert(fs::exists(folder / kManifest) ? folder.string() : "");
  }
  if (folders.size() > 1) {
    throw UserError(
        "data.shards: expected the shards of one cache, or of none; found those of '{}'",
        fmt::join(folders, "' and '"));
  }
  return folders.empty() ? std::string() : *folders.begin();
}

void check_cache(const fs::path& folder, const TrainConfig& config, bool by_content) {
  const fs::path file = folder / kManifest;
  const nlohmann::json manifest = read_json_file(file);
  if (!manifest.is_object() || !manifest.contains("recipe") || !manifest.contains("sources")) {
    throw DataError("{}: expected an object with 'recipe' and 'sources'", file.string());
  }
  std::vector<std::string> problems;
  const nlohmann::ordered_json recipe = cache_recipe(config);
  for (const auto& [key, value] : recipe.items()) {
    const nlohmann::json made_with = manifest["recipe"].value(key, nlohmann::json());
    if (made_with == nlohmann::json(value)) continue;
    problems.push_back(
        fmt::format("{}: made with {}, this run has {}", key, made_with.dump(), value.dump()));
  }
  for (const auto& [key, value] : manifest["recipe"].items()) {
    if (recipe.contains(key)) continue;
    problems.push_back(fmt::format("{}: made with {}, this run has none", key, value.dump()));
  }
  for (const nlohmann::json& source : manifest["sources"]) {
    if (is_changed(source, by_content)) {
      problems.push_back(fmt::format("{}: changed since", source.value("path", "")));
    }
  }
  if (problems.empty()) return;
  throw UserError("{}: the cache is stale; make it anew with `crescendo cache`\n  {}",
                  file.string(), fmt::join(problems, "\n  "));
}

}  // namespace crescendo::pipelines
