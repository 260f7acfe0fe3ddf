#include "pipelines/models/model_template.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/log.h"
#include "pipelines/models/single_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 5> kComponents{"unet", "vae", "text_encoder", "scheduler",
                                                      "tokenizer"};

bool is_config(const fs::path& file) {
  const fs::path extension = file.extension();
  const bool is_index = file.filename().string().find(".safetensors.index.") != std::string::npos;
  return (extension == ".json" && !is_index) || extension == ".txt" || extension == ".model";
}

}  // namespace

fs::path choose_template(const WeightFiles& file, const fs::path& templates) {
  const std::int64_t width = context_width(file);
  const char* name = nullptr;
  if (width == 768) name = "stable-diffusion-v1-5";
  if (width == 1024) name = "stable-diffusion-2-1";
  if (name == nullptr) {
    throw UserError(
        "{}: the file does not say what its model is; expected a U-Net that attends to vectors of "
        "768 (Stable Diffusion 1.x) or 1024 (2.x), found {}. Name a diffusers folder with its "
        "configurations, scheduler and tokenizer: --config FOLDER",
        file.path().string(), width);
  }
  if (!fs::exists(templates / name)) {
    throw UserError(
        "{}: not found, which would hold the configurations of {}; name a diffusers folder that "
        "has them: --config FOLDER",
        (templates / name).string(), file.path().string());
  }
  log::info(
      "configurations, scheduler and tokenizer: {}, as the U-Net attends to vectors of {}; "
      "to choose others: --config FOLDER",
      (templates / name).string(), width);
  if (width == 1024) {
    log::info("that is v_prediction at 768 pixels; for a base model, epsilon at 512: --config {}",
              (templates / "stable-diffusion-2-1-base").string());
  }
  return templates / name;
}

void copy_configs(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file() && is_config(entry.path())) {
      fs::copy_file(entry.path(), to / entry.path().filename());
    }
  }
}

void copy_template(const fs::path& from, const fs::path& to) {
  const fs::path file = from / "model_index.json";
  nlohmann::json index = read_json_file(file);
  if (!index.is_object()) {
    throw DataError("{}: expected a JSON object, found {}", file.string(), index.type_name());
  }
  for (const std::string_view component : kComponents) {
    if (fs::is_directory(from / component)) copy_configs(from / component, to / component);
  }
  for (const auto& [key, value] : index.items()) {
    if (value.is_array() && std::ranges::find(kComponents, key) == kComponents.end()) {
      value = {nullptr, nullptr};
    }
  }
  index["requires_safety_checker"] = false;
  write_file_atomically(to / "model_index.json", index.dump(2) + "\n");
}

}  // namespace crescendo::pipelines
