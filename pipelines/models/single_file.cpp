#include "pipelines/models/single_file.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/fields.h"
#include "pipelines/models/ldm_text_keys.h"
#include "pipelines/models/ldm_unet_keys.h"
#include "pipelines/models/ldm_vae_keys.h"
#include "pipelines/models/tensor_table.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

struct Component {
  std::string name;
  std::vector<LdmTensor> tensors;
  std::function<std::string(const std::string&)> present_name{};  ///< of older or newer libraries
};

/// What the configuration of a text encoder says, as far as the layout depends on it.
struct TextConfig {
  text_encoder::CLIPTextOptions options;
  std::optional<std::int64_t> projection_dim;
};

TextConfig read_text_config(const fs::path& model) {
  const fs::path file = model / "text_encoder" / "config.json";
  if (!fs::exists(file)) {
    throw UserError(
        "{}: no text encoder; the single-file layout has a place for text-to-image models only",
        model.string());
  }
  const nlohmann::json config = read_json_file(file);
  const nlohmann::json type =
      config.is_object() ? config.value("model_type", nlohmann::json()) : "";
  if (type != "clip_text_model") {
    throw UserError(
        "{}: model_type: the single-file layout has a place for a CLIP text encoder only; expected "
        "\"clip_text_model\", found {}",
        file.string(), type.dump());
  }
  TextConfig text{.options = text_encoder::read_clip_text_options(config, file.string()),
                  .projection_dim = {}};
  const nlohmann::json architectures = config.value("architectures", nlohmann::json());
  if (architectures != nlohmann::json::array({"CLIPTextModelWithProjection"})) return text;
  const nlohmann::json dim = config.value("projection_dim", nlohmann::json(512));
  if (!dim.is_number_unsigned()) {
    throw DataError("{}: projection_dim: expected an integer, found {}", file.string(), dim.dump());
  }
  text.projection_dim = dim.get<std::int64_t>();
  return text;
}

/// Reads the configurations of a diffusers folder.
std::vector<Component> read_components(const fs::path& model) {
  const TextConfig text = read_text_config(model);
  const fs::path unet = model / "unet" / "config.json";
  const fs::path vae = model / "vae" / "config.json";
  return {
      {.name = "unet",
       .tensors = ldm_unet_keys(unet::read_unet_options(read_json_file(unet), unet.string()),
                                unet.string())},
      {.name = "vae",
       .tensors = ldm_vae_keys(vae::read_autoencoder_kl_options(read_json_file(vae), vae.string())),
       .present_name = present_vae_name},
      {.name = "text_encoder",
       .tensors = ldm_text_keys(text.options, text.projection_dim),
       .present_name = present_text_name}};
}

bool holds(const WeightFiles& file, std::string_view prefix) {
  const auto first = file.tensors().lower_bound(std::string(prefix));
  return first != file.tensors().end() && first->first.starts_with(prefix);
}

void require_layout(const WeightFiles& file, const text_encoder::CLIPTextOptions& options,
                    const fs::path& configs) {
  const bool open_clip = holds(file, kLdmOpenClipPrefix);
  if (open_clip == is_open_clip(options) || (!open_clip && !holds(file, kLdmClipPrefix))) return;
  throw UserError(
      "{}: hidden_act: {} has the text encoder of Stable Diffusion {}; expected \"{}\", found "
      "\"{}\"",
      (configs / "text_encoder" / "config.json").string(), file.path().string(),
      open_clip ? "2, OpenCLIP's" : "1, OpenAI's CLIP", open_clip ? "gelu" : "quick_gelu",
      options.hidden_act);
}

/// The copies of `tensor` with the bytes of `stored`, of which it takes a share for each name.
void append_shares(const LdmTensor& tensor, const WeightFiles::Tensor& stored,
                   std::vector<TensorCopy>& copies) {
  const std::size_t share = stored.bytes().size() / tensor.names.size();
  for (std::size_t i = 0; i < tensor.names.size(); ++i) {
    copies.push_back({.name = tensor.names[i],
                      .dtype = stored.entry->dtype,
                      .shape = tensor.name_shape,
                      .pieces = {{stored.file, stored.bytes().subspan(i * share, share)}},
                      .transposed = tensor.transposed});
  }
}

/// The copy that joins what a component has for `tensor`; nothing when a part does not fit.
std::optional<TensorCopy> joined(const LdmTensor& tensor, const WeightFiles& file,
                                 TensorTable& table) {
  TensorCopy copy{.name = tensor.key,
                  .dtype = {},
                  .shape = tensor.key_shape,
                  .pieces = {},
                  .transposed = tensor.transposed};
  for (const std::string& name : tensor.names) {
    const WeightFiles::Tensor* stored = table.take(name, tensor.name_shape);
    if (stored == nullptr) continue;
    const std::string& dtype = stored->entry->dtype;
    if (!copy.pieces.empty() && dtype != copy.dtype) {
      throw DataError("{}: {}: expected {}, the dtype of {}, found {}", file.path().string(), name,
                      copy.dtype, tensor.names.front(), dtype);
    }
    copy.dtype = dtype;
    copy.pieces.push_back({stored->file, stored->bytes()});
  }
  if (copy.pieces.size() < tensor.names.size()) return std::nullopt;
  return copy;
}

}  // namespace

std::string single_file_kind(const WeightFiles& file) {
  if (holds(file, "conditioner.embedders.")) return "Stable Diffusion XL";
  if (!holds(file, std::string(kLdmUnetPrefix) + "input_blocks.")) return "";
  if (holds(file, kLdmOpenClipPrefix)) return "Stable Diffusion 2.x";
  return holds(file, kLdmClipPrefix) ? "Stable Diffusion 1.x" : "latent diffusion, no text encoder";
}

void require_single_file(const WeightFiles& file) {
  const std::string kind = single_file_kind(file);
  if (kind.ends_with("XL")) {
    throw UserError(
        "{}: a {} file (conditioner.embedders.*), which is not supported; expected Stable "
        "Diffusion 1.x or 2.x",
        file.path().string(), kind);
  }
  if (!kind.empty()) return;
  const auto& tensors = file.tensors();
  throw UserError(
      "{}: not a Stable Diffusion 1.x or 2.x single file; expected tensors {}input_blocks.*, found "
      "{}",
      file.path().string(), kLdmUnetPrefix,
      tensors.empty() ? "none" : fmt::format("{} like {}", tensors.size(), tensors.begin()->first));
}

std::int64_t context_width(const WeightFiles& file) {
  for (const auto& [key, tensor] : file.tensors()) {
    if (key.starts_with(kLdmUnetPrefix) && key.ends_with(".attn2.to_k.weight") &&
        tensor.entry->shape.size() == 2) {
      return tensor.entry->shape[1];
    }
  }
  return 0;
}

std::vector<ComponentCopy> components_of_file(const WeightFiles& file, const fs::path& configs) {
  const text_encoder::CLIPTextOptions text = read_text_config(configs).options;
  require_layout(file, text, configs);
  TensorTable table(file);
  std::vector<ComponentCopy> copies;
  for (const Component& component : read_components(configs)) {
    ComponentCopy& copy = copies.emplace_back(ComponentCopy{component.name, {}});
    for (const LdmTensor& tensor : component.tensors) {
      const WeightFiles::Tensor* stored = table.take(tensor.key, tensor.key_shape);
      if (stored != nullptr) append_shares(tensor, *stored, copy.tensors);
    }
  }
  const std::string unused = ldm_unused_layer(text);
  table.require_fit(
      fmt::format("{}: the weights do not fit the configurations of {}", file.path().string(),
                  configs.string()),
      [&](const std::string& key) { return ldm_passes_over(key) || key.starts_with(unused); });
  return copies;
}

std::vector<ComponentCopy> file_of_components(const fs::path& model) {
  std::vector<ComponentCopy> copies;
  for (const Component& component : read_components(model)) {
    const WeightFiles file(weights_file_in(model / component.name));
    TensorTable table(file, component.present_name);
    ComponentCopy& copy = copies.emplace_back(ComponentCopy{component.name, {}});
    for (const LdmTensor& tensor : component.tensors) {
      std::optional<TensorCopy> found = joined(tensor, file, table);
      if (found) copy.tensors.push_back(*std::move(found));
    }
    table.require_fit(fmt::format("{}: the weights do not fit the configuration beside them",
                                  file.path().string()),
                      [](const std::string& name) { return name.ends_with(".position_ids"); });
  }
  return copies;
}

}  // namespace crescendo::pipelines
