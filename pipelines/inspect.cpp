#include "pipelines/inspect.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/fields.h"
#include "core/progress.h"
#include "core/safetensors.h"
#include "core/text.h"
#include "dataloader/decode_image.h"
#include "dataloader/sample_reader.h"
#include "dataloader/shard_list.h"
#include "pipelines/run_folder.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kProblems = 20;
constexpr std::uint64_t kMaxSampleBytes = std::uint64_t{1} << 30;
constexpr std::array<std::string_view, 4> kImages{"jpg", "jpeg", "png", "webp"};

/// Counts what is in shards.
class ShardInspector {
 public:
  explicit ShardInspector(bool decode) : decode_(decode) {}

  void add(const std::string& path, Progress& progress) {
    std::uint64_t here = 0;
    try {
      dataloader::TarReader archive{fs::path(path)};
      dataloader::SampleReader reader(archive, kMaxSampleBytes);
      while (const std::optional<dataloader::RawSample> sample = reader.next()) {
        add_sample(*sample);
        progress.update(++samples_);
        ++here;
      }
      if (here == 0) problem(fmt::format("{}: holds no samples", path));
    } catch (const UserError& failure) {
      problem(failure.what());
    }
    ++shards_;
  }

  Json report() const {
    Json report = {
        {"kind", "shards"}, {"shards", shards_}, {"samples", samples_}, {"bytes", bytes_}};
    report["members"] = members_;
    if (captions_ > 0) {
      report["captions"] = {
          {"count", captions_}, {"empty", empty_captions_}, {"longest_bytes", longest_caption_}};
    }
    if (!classes_.empty()) {
      const auto by_samples = [](const auto& a, const auto& b) { return a.second < b.second; };
      const auto [fewest, most] = std::minmax_element(classes_.begin(), classes_.end(), by_samples);
      report["classes"] = {{"count", classes_.size()},
                           {"fewest_samples", fewest->second},
                           {"most_samples", most->second}};
    }
    if (decode_) {
      report["decoded"] = {{"images", decoded_},
                           {"smallest", sides_text(smallest_)},
                           {"largest", sides_text(largest_)}};
    }
    if (!problems_.empty()) {
      report["problem_count"] = problem_count_;
      report["problems"] = problems_;
    }
    return report;
  }

 private:
  using Sides = std::pair<std::int64_t, std::int64_t>;

  static std::string sides_text(const std::optional<Sides>& sides) {
    return sides ? fmt::format("{}x{}", sides->first, sides->second) : "none";
  }

  void problem(std::string text) {
    ++problem_count_;
    if (problems_.size() < kProblems) problems_.push_back(std::move(text));
  }

  void add_sample(const dataloader::RawSample& sample) {
    const std::string where = fmt::format("{}: {}", sample.shard, sample.key);
    if (sample.defect) {
      problem(fmt::format("{}: {}: {}", where, sample.defect->cause, sample.defect->detail));
    }
    bool has_image = false;
    for (const dataloader::RawMember& member : sample.members) {
      ++members_[member.suffix];
      bytes_ += member.bytes.size();
      const std::string_view text(reinterpret_cast<const char*>(member.bytes.data()),
                                  member.bytes.size());
      if (member.suffix == "txt") add_caption(where, text);
      if (member.suffix == "cls") ++classes_[std::string(trim(text))];
      if (std::ranges::find(kImages, member.suffix) == kImages.end()) continue;
      has_image = true;
      if (decode_) add_image(where, member.bytes);
    }
    if (!has_image && !sample.defect)
      problem(fmt::format("{}: no image (jpg, png or webp)", where));
  }

  void add_caption(const std::string& where, std::string_view text) {
    ++captions_;
    if (!is_utf8(text)) problem(fmt::format("{}: the caption is not UTF-8", where));
    if (trim(text).empty()) ++empty_captions_;
    longest_caption_ = std::max(longest_caption_, text.size());
  }

  void add_image(const std::string& where, std::span<const std::byte> bytes) {
    try {
      const dataloader::Image image = dataloader::decode_image(bytes);
      const Sides sides{image.width, image.height};
      const auto area = [](const Sides& s) { return s.first * s.second; };
      if (!smallest_ || area(sides) < area(*smallest_)) smallest_ = sides;
      if (!largest_ || area(sides) > area(*largest_)) largest_ = sides;
      ++decoded_;
    } catch (const dataloader::SampleError& failure) {
      problem(fmt::format("{}: {}", where, failure.what()));
    }
  }

  bool decode_;
  std::uint64_t shards_ = 0;
  std::uint64_t samples_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t decoded_ = 0;
  std::uint64_t captions_ = 0;
  std::uint64_t empty_captions_ = 0;
  std::uint64_t problem_count_ = 0;
  std::size_t longest_caption_ = 0;
  std::map<std::string, std::uint64_t> members_;
  std::map<std::string, std::uint64_t> classes_;
  std::optional<Sides> smallest_;
  std::optional<Sides> largest_;
  std::vector<std::string> problems_;
};

Json inspect_shards(const InspectRequest& request) {
  ShardInspector inspector(request.decode);
  Progress progress("inspect", 0, "samples");
  for (const std::string& path : dataloader::expand_shards(request.targets)) {
    inspector.add(path, progress);
  }
  return inspector.report();
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
          "num_train_timesteps", "beta_schedule", "prediction_type"}) {
      if (values.contains(key) && !values[key].is_null()) report[key] = values[key];
    }
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    std::uint64_t parameters = 0;
    std::map<std::string, std::uint64_t> dtypes;
    for (const SafetensorsEntry& tensor : file.header().entries) {
      parameters += (tensor.end - tensor.begin) / safetensors_element_size(tensor.dtype);
      ++dtypes[tensor.dtype];
    }
    report[entry.path().filename().string()] = {{"parameters", parameters}, {"tensors", dtypes}};
  }
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
  report["checkpoints"] = checkpoints;
  if (fs::exists(folder / "model" / "model_index.json")) {
    report["model"] = inspect_model(folder / "model");
  }
  if (!problems.empty()) report["problems"] = problems;
  return report;
}

void append_text(const Json& value, const std::string& indent, std::string& text) {
  for (const auto& [key, item] : value.items()) {
    const std::string label = value.is_array() ? indent + "-" : indent + key + ":";
    if (!item.is_structured()) {
      text +=
          fmt::format("{} {}\n", label, item.is_string() ? item.get<std::string>() : item.dump());
    } else if (item.is_array() && std::ranges::none_of(item, &Json::is_string)) {
      text += fmt::format("{} {}\n", label, item.dump());
    } else {
      text += label + "\n";
      append_text(item, indent + "  ", text);
    }
  }
}

}  // namespace

Json inspect(const InspectRequest& request) {
  if (request.targets.size() == 1) {
    const fs::path target = request.targets[0];
    if (fs::exists(target / "config.toml")) return inspect_run(target);
    if (fs::exists(target / "model_index.json") || fs::exists(target / "config.json")) {
      return inspect_model(target);
    }
    if (fs::is_directory(target)) {
      InspectRequest shards = request;
      shards.targets = {(target / "*.tar").string()};
      return inspect_shards(shards);
    }
  }
  return inspect_shards(request);
}

std::string report_to_text(const Json& report) {
  std::string text;
  append_text(report, "", text);
  return text;
}

}  // namespace crescendo::pipelines
