#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "core/safetensors.h"

namespace crescendo::pipelines {

/// peft's configuration in the metadata of a LoRA file, "lora_adapter_metadata": how the layers
/// whose alpha is no tensor of the file are scaled.
class LoraAdapterConfig {
 public:
  static constexpr const char* kKey = "lora_adapter_metadata";

  /// Throws DataError when it is there and no JSON object.
  explicit LoraAdapterConfig(const SafetensorsFile& file);

  /// The alpha of a layer, which is scaled by alpha / rank; the rank where nothing is said. Throws
  /// UserError for a configuration that is not the plain LoRA.
  double alpha(const std::string& component, const std::string& layer, std::int64_t rank) const;

 private:
  const nlohmann::json* find(const std::string& component, const std::string& key) const;
  bool is_set(const std::string& component, const char* key) const;
  bool matches(std::string_view pattern, std::string_view layer) const;

  std::string where_;
  nlohmann::json config_ = nlohmann::json::object();
};

}  // namespace crescendo::pipelines
