#include "pipelines/models/lora_adapter_config.h"

#include <cmath>
#include <string_view>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

double number_or(const nlohmann::json* value, double otherwise) {
  return value != nullptr && value->is_number() ? value->get<double>() : otherwise;
}

}  // namespace

LoraAdapterConfig::LoraAdapterConfig(const SafetensorsFile& file)
    : where_(file.path().string() + ": " + kKey) {
  const auto found = file.header().metadata.find(kKey);
  if (found == file.header().metadata.end()) return;
  config_ = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!config_.is_object()) throw DataError("{}: expected a JSON object", where_);
}

/// Under the component's prefix, or none where the file has one component.
const nlohmann::json* LoraAdapterConfig::find(const std::string& component,
                                              const std::string& key) const {
  for (const std::string& name : {component + "." + key, key}) {
    const auto found = config_.find(name);
    if (found != config_.end()) return &*found;
  }
  return nullptr;
}

bool LoraAdapterConfig::is_set(const std::string& component, const char* key) const {
  const nlohmann::json* found = find(component, key);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

/// peft takes a pattern for a regular expression of an end of the name; files have plain names.
bool LoraAdapterConfig::matches(std::string_view pattern, std::string_view layer) const {
  const bool whole = pattern.starts_with('^');
  if (whole) pattern.remove_prefix(1);
  if (pattern.find_first_of("\\*+?()[]{}|$^") != std::string_view::npos) {
    throw UserError("{}: alpha_pattern: expected names of layers, found '{}'", where_, pattern);
  }
  return layer == pattern || (!whole && layer.ends_with(fmt::format(".{}", pattern)));
}

double LoraAdapterConfig::alpha(const std::string& component, const std::string& layer,
                                std::int64_t rank) const {
  for (const char* key : {"use_dora", "lora_bias", "fan_in_fan_out"}) {
    if (is_set(component, key)) {
      throw UserError("{}: {}: expected false, as of a plain LoRA, found true", where_, key);
    }
  }
  double alpha = number_or(find(component, "lora_alpha"), static_cast<double>(rank));
  const nlohmann::json* patterns = find(component, "alpha_pattern");
  if (patterns != nullptr && patterns->is_object()) {
    for (const auto& [pattern, value] : patterns->items()) {
      if (matches(pattern, layer)) alpha = number_or(&value, alpha);
    }
  }
  // A rank-stabilised one is scaled by alpha / sqrt(rank).
  return is_set(component, "use_rslora") ? alpha * std::sqrt(static_cast<double>(rank)) : alpha;
}

}  // namespace crescendo::pipelines
