#include "pipelines/inspect.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "dataloader/shard_list.h"
#include "pipelines/inspect_model.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/training/nonfinite_dump.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

void append_text(const Json& value, const std::string& indent, std::string& text) {
  std::size_t width = 0;
  if (!indent.empty() && value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      if (!item.is_structured()) width = std::max(width, key.size() + 1);
    }
  }
  for (const auto& [key, item] : value.items()) {
    const std::string label = value.is_array() ? "-" : key + ":";
    if (!item.is_structured()) {
      text += fmt::format("{}{:<{}} {}\n", indent, label, width,
                          item.is_string() ? item.get<std::string>() : item.dump());
    } else if (item.is_array() && std::ranges::none_of(item, &Json::is_string)) {
      text += fmt::format("{}{} {}\n", indent, label, item.dump());
    } else {
      text += indent + label + "\n";
      append_text(item, indent + "  ", text);
    }
  }
}

bool is_shard_name(const std::string& name) {
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

}  // namespace

std::vector<std::string> find_shards(const std::vector<std::string>& targets) {
  if (targets.size() != 1 || !fs::is_directory(targets[0])) {
    return dataloader::expand_shards(targets);
  }
  std::vector<std::string> shards;
  for (const auto& entry : fs::directory_iterator(targets[0])) {
    if (is_shard_name(entry.path().filename().string())) shards.push_back(entry.path().string());
  }
  if (shards.empty()) {
    throw UserError("{}: neither a model nor a run, and no shards (*.tar, *.tar.gz, *.tgz) in it",
                    targets[0]);
  }
  std::ranges::sort(shards);
  return shards;
}

Json inspect(const InspectRequest& request) {
  if (request.targets.size() == 1) {
    const fs::path target = request.targets[0];
    if (target.extension() == ".safetensors") return inspect_weights(target);
    if (fs::exists(target / "nonfinite.json")) return inspect_nonfinite_dump(target);
    if (fs::exists(target / "config.toml")) return inspect_run(target);
    if (fs::exists(target / "model_index.json") || fs::exists(target / "config.json")) {
      return inspect_model(target);
    }
    if (fs::exists(target / kLoraFileName)) return inspect_weights(target / kLoraFileName);
  }
  return inspect_shards(find_shards(request.targets), request.shards);
}

std::string report_to_text(const Json& report) {
  std::string text;
  append_text(report, "", text);
  return text;
}

}  // namespace crescendo::pipelines
