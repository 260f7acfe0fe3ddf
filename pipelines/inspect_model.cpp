#include "pipelines/inspect_model.h"

#include <fstream>
#include <map>

#include "core/error.h"
#include "core/fields.h"
#include "core/weight_files.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/models/single_file.h"
#include "pipelines/runs/run_folder.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

/// The parameters and dtypes of the tensors whose names begin with `prefix`.
Json count_tensors(const SafetensorsFile& file, std::string_view prefix) {
  std::uint64_t parameters = 0;
  std::map<std::string, std::uint64_t> dtypes;
  for (const SafetensorsEntry& tensor : file.header().entries) {
    if (!tensor.name.starts_with(prefix)) continue;
    parameters += (tensor.end - tensor.begin) / safetensors_element_size(tensor.dtype);
    ++dtypes[tensor.dtype];
  }
  return {{"parameters", parameters}, {"tensors", dtypes}};
}

/// What tells one component from another, of its configuration; the parameters of its weights.
Json inspect_component(const fs::path& folder) {
  Json report = Json::object();
  for (const char* name : {"config.json", "scheduler_config.json", "tokenizer_config.json"}) {
    if (!fs::exists(folder / name)) continue;
    const nlohmann::json values = read_json_file(folder / name);
    for (const char* key :
         {"_class_name", "model_type", "tokenizer_class", "model_max_length", "scaling_factor",
          "num_class_embeds", "cross_attention_dim", "block_out_channels", "sample_size",
          "num_train_timesteps", "beta_schedule", "prediction_type", "dtr_alpha"}) {
      if (values.contains(key) && !values[key].is_null()) report[key] = values[key];
    }
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    report[entry.path().filename().string()] = count_tensors(SafetensorsFile(entry.path()), "");
  }
  return report;
}

/// "a.0.attn1.to_q" -> "attn1.to_q", "a_0_attn1_to_q" -> "attn1_to_q": what follows the last part
/// that is a number and not the end.
std::string within_block(const std::string& layer) {
  const char separator = layer.find('.') == std::string::npos ? '_' : '.';
  std::size_t block = 0;
  for (std::size_t begin = 0;;) {
    const std::size_t end = layer.find(separator, begin);
    if (end == std::string::npos) return layer.substr(block);
    const bool is_number = layer.find_first_not_of("0123456789", begin) == end;
    begin = end + 1;
    if (is_number) block = begin;
  }
}

/// The values that occur, each with how often.
template <typename Value>
Json counted(const std::map<Value, std::int64_t>& counts) {
  if (counts.size() == 1) return counts.begin()->first;
  Json report = Json::object();
  for (const auto& [value, count] : counts) report[fmt::format("{}", value)] = count;
  return report;
}

Json inspect_lora(const fs::path& path) {
  const StoredLora lora = read_lora(path);
  Json report = {{"layout", lora.layout}};
  for (const char* component : {"unet", "text_encoder"}) {
    std::map<std::int64_t, std::int64_t> ranks;
    std::map<double, std::int64_t> alphas;
    std::map<std::string, std::int64_t> targets;
    for (const StoredLoraLayer& stored : lora.layers) {
      if (stored.component != component) continue;
      ++ranks[stored.layer.rank()];
      ++alphas[stored.layer.alpha];
      ++targets[within_block(stored.name)];
    }
    if (targets.empty()) continue;
    report[component] = {{"rank", counted(ranks)}, {"alpha", counted(alphas)}};
    report[component]["layers"] = targets;
  }
  return report;
}

}  // namespace

Json inspect_weights(const fs::path& path) {
  const SafetensorsFile file(path);
  const WeightFiles weights(path);
  if (holds_lora(weights)) {
    Json report = {{"kind", "lora"}};
    report.update(inspect_lora(path));
    report.update(count_tensors(file, ""));
    if (!file.header().metadata.empty()) report["metadata"] = file.header().metadata;
    return report;
  }
  const std::string kind = single_file_kind(weights);
  Json report = {{"kind", kind.empty() ? "weights" : "single file"}};
  if (!file.header().metadata.empty()) report["metadata"] = file.header().metadata;
  if (kind.empty()) {
    report.update(count_tensors(file, ""));
    return report;
  }
  report["model"] = kind;
  report["cross_attention_dim"] = context_width(weights);
  report["unet"] = count_tensors(file, "model.diffusion_model.");
  report["vae"] = count_tensors(file, "first_stage_model.");
  report["text_encoder"] = count_tensors(file, "cond");
  return report;
}

Json inspect_model(const fs::path& folder) {
  Json report = {{"kind", "model"}};
  if (!fs::exists(folder / "model_index.json")) {
    report.update(inspect_component(folder));
    return report;
  }
  const nlohmann::json index = read_json_file(folder / "model_index.json");
  for (const char* key : {"_class_name", "class_names", "null_class"}) {
    if (index.contains(key)) report[key] = index[key];
  }
  std::vector<std::string> problems;
  for (const auto& [name, value] : index.items()) {
    const bool is_component = value.is_array() && value.size() == 2 && value[0].is_string();
    if (!is_component || name == "class_names") continue;
    if (!fs::is_directory(folder / name)) {
      problems.push_back(fmt::format("{}: the folder is missing", (folder / name).string()));
    } else {
      report[name] = inspect_component(folder / name);
    }
  }
  if (!problems.empty()) report["problems"] = problems;
  return report;
}

Json inspect_run(const fs::path& folder) {
  Json report = {{"kind", "run"}};
  std::ifstream lines(folder / "metrics.jsonl");
  Json last;
  for (std::string line; std::getline(lines, line);) {
    Json entry = Json::parse(line, nullptr, false);
    if (entry.is_object() && entry.contains("lr")) last = std::move(entry);
  }
  if (!last.is_null()) report["last_step"] = last;
  std::vector<std::string> checkpoints;
  std::vector<std::string> problems;
  for (const CheckpointFolder& checkpoint : list_checkpoints(folder)) {
    try {
      for (const auto& entry : fs::directory_iterator(checkpoint.path)) {
        if (entry.path().extension() == ".safetensors") SafetensorsFile{entry.path()};
      }
      const nlohmann::json state = read_json_file(checkpoint.path / "state.json");
      checkpoints.push_back(checkpoint.path.string());
    } catch (const UserError& failure) {
      problems.emplace_back(failure.what());
    }
  }
  std::error_code none_there;
  for (const auto& dump : fs::directory_iterator(folder / "nonfinite", none_there)) {
    problems.push_back(fmt::format("{}: loss or gradient were not finite; `crescendo inspect` it",
                                   dump.path().string()));
  }
  report["checkpoints"] = checkpoints;
  if (fs::exists(folder / "model" / "model_index.json")) {
    report["model"] = inspect_model(folder / "model");
  }
  if (fs::exists(folder / "model" / kLoraFileName)) {
    report["model"] = inspect_weights(folder / "model" / kLoraFileName);
  }
  if (!problems.empty()) report["problems"] = problems;
  return report;
}

}  // namespace crescendo::pipelines
