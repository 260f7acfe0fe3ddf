#include "core/weight_files.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/fields.h"
#include "core/text.h"

namespace crescendo {

namespace fs = std::filesystem;

namespace {

/// The shard of each tensor, as the index says.
std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const nlohmann::json json = read_json_file(index);
  const auto malformed = [&](const std::string& found) {
    return DataError(
        "{}: weight_map: expected an object of tensor names and the names of their files, found {}",
        index.string(), found);
  };
  if (!json.is_object() || !json.contains("weight_map")) throw malformed("none");
  const nlohmann::json& weight_map = json["weight_map"];
  if (!weight_map.is_object()) throw malformed(weight_map.type_name());
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : weight_map.items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : "";
    // Beside the index only: no folder, no "..".
    if (fs::path(file).filename() != file || fs::path(file).extension() != ".safetensors") {
      throw malformed(shard.dump());
    }
    shards.emplace(name, file);
  }
  return shards;
}

}  // namespace

WeightFiles::WeightFiles(fs::path path) : path_(std::move(path)) {
  if (path_.extension() == ".json") {
    open_shards();
  } else {
    open(path_);
  }
}

void WeightFiles::open(const fs::path& file) {
  files_.push_back(std::make_shared<const SafetensorsFile>(file));
  for (const SafetensorsEntry& entry : files_.back()->header().entries) {
    const auto [found, is_new] = tensors_.try_emplace(entry.name, Tensor{files_.back(), &entry});
    if (is_new) continue;
    throw DataError("{}: tensor '{}' is in {} as well; expected it once", file.string(), entry.name,
                    found->second.file->path().filename().string());
  }
}

void WeightFiles::open_shards() {
  const std::map<std::string, std::string> weight_map = read_weight_map(path_);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  for (const std::string& shard : shards) {
    if (fs::exists(path_.parent_path() / shard)) continue;
    throw UserError("{}: names the file {}, which is missing; expected {} files beside it",
                    path_.string(), shard, shards.size());
  }
  for (const std::string& shard : shards) open(path_.parent_path() / shard);
  std::vector<std::string> absent;
  for (const auto& [name, shard] : weight_map) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || found->second.file->path().filename() != shard) {
      absent.push_back(fmt::format("{} in {}", name, shard));
    }
  }
  if (absent.empty()) return;
  throw DataError("{}: {} of the tensors that it names are not there:{}", path_.string(),
                  absent.size(), some_lines(absent));
}

std::vector<fs::path> WeightFiles::paths() const {
  std::vector<fs::path> paths;
  for (const auto& file : files_) paths.push_back(file->path());
  if (path_ != paths.front()) paths.push_back(path_);
  return paths;
}

void WeightFiles::require_parameters(std::int64_t count, const std::string& config) const {
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : tensors_) {
    elements += static_cast<std::int64_t>(tensor.bytes().size() /
                                          safetensors_element_size(tensor.entry->dtype));
  }
  if (count <= elements) return;
  throw DataError(
      "{}: the model has more parameters than the weights beside it; expected at most {} ({}), "
      "found {}",
      config, elements, path_.filename().string(), count);
}

fs::path weights_file_in(const fs::path& folder) {
  constexpr std::array kNames = {"diffusion_pytorch_model", "model"};
  for (const char* variant : {"", ".fp32", ".bf16", ".fp16"}) {
    for (const char* name : kNames) {
      const fs::path file = folder / fmt::format("{}{}.safetensors", name, variant);
      if (fs::exists(file)) return file;
      const fs::path index = folder / fmt::format("{}.safetensors.index{}.json", name, variant);
      if (fs::exists(index)) return index;
    }
  }
  for (const char* name : {"diffusion_pytorch_model.bin", "pytorch_model.bin"}) {
    if (fs::exists(folder / name)) {
      throw UserError(
          "{}: refused: a pickle can run code when it is opened; expected safetensors. Convert it "
          "with save_pretrained(..., safe_serialization=True) of the Python library that made it",
          (folder / name).string());
    }
  }
  throw UserError(
      "{}: no weights; expected diffusion_pytorch_model.safetensors or model.safetensors",
      folder.string());
}

}  // namespace crescendo
