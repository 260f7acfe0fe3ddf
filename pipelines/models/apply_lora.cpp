#include "pipelines/models/apply_lora.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/log.h"
#include "pipelines/models/ldm_unet_keys.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/models/lora_keys.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kWeight = ".weight";

/// Kohya's layout under the names of the single file, where the LoRA has some.
LoraNames ldm_names(const StoredLora& lora, const unet::UNet2DConditionOptions& options) {
  LoraNames names;
  const auto is_ldm = [](const StoredLoraLayer& stored) {
    return stored.name.starts_with("input_blocks_") || stored.name.starts_with("middle_block_") ||
           stored.name.starts_with("output_blocks_");
  };
  if (std::ranges::none_of(lora.layers, is_ldm)) return names;
  const std::size_t prefix = std::string_view(kLdmUnetPrefix).size();
  for (const LdmTensor& tensor : ldm_unet_keys(options, lora.path)) {
    const std::string& name = tensor.names.front();
    if (!name.ends_with(kWeight) || tensor.name_shape.size() < 2) continue;
    names[kohya_name(tensor.key.substr(prefix, tensor.key.size() - prefix - kWeight.size()))] =
        name.substr(0, name.size() - kWeight.size());
  }
  return names;
}

}  // namespace

void apply_lora(DiffusionModel& model, const fs::path& path, double weight) {
  const StoredLora lora = read_lora(find_lora(path));
  const bool has_text = std::ranges::any_of(lora.layers, [](const StoredLoraLayer& stored) {
    return stored.component == "text_encoder";
  });
  if (has_text && !model.text_encoder) {
    throw UserError("{}: the LoRA is also one of a text encoder, and this model has none",
                    lora.path);
  }
  // Both are placed before either is changed.
  const LoraLayers unet =
      place_lora(lora, "unet", *model.unet, ldm_names(lora, model.unet->options()));
  if (has_text) {
    text_encoder::TextModel& text = model.text_encoder->module();
    merge_lora(text, place_lora(lora, "text_encoder", text), weight);
  }
  merge_lora(*model.unet, unet, weight);
  log::info("lora: {} layers of {}, weight {}", lora.layers.size(), lora.path, weight);
}

}  // namespace crescendo::pipelines
