#include "pipelines/models/lora_file.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/text.h"
#include "pipelines/models/lora_adapter_config.h"
#include "pipelines/models/lora_keys.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// The tensors of a layer while they are gathered.
struct Parts {
  const char* layout = nullptr;
  const WeightFiles::Tensor* down = nullptr;
  const WeightFiles::Tensor* up = nullptr;
  const WeightFiles::Tensor* alpha = nullptr;
};

using PartsByLayer = std::map<std::pair<std::string, std::string>, Parts>;

PartsByLayer gather(const WeightFiles& file, std::vector<std::string>& strange) {
  PartsByLayer layers;
  for (const auto& [name, tensor] : file.tensors()) {
    const std::optional<LoraKey> key = parse_lora_key(name);
    if (!key) {
      strange.push_back(name);
      continue;
    }
    Parts& parts = layers[{key->component, key->layer}];
    if (key->layout != nullptr) parts.layout = key->layout;
    const WeightFiles::Tensor*& part = key->part == LoraPart::kDown ? parts.down
                                       : key->part == LoraPart::kUp ? parts.up
                                                                    : parts.alpha;
    if (part != nullptr) strange.push_back(name + ": a second one of its layer");
    part = &tensor;
  }
  return layers;
}

at::Tensor read_float(const WeightFiles::Tensor& stored) {
  constexpr bool kBlocking = false;
  constexpr bool kCopy = true;
  return mapped_tensor(stored).to(at::kFloat, kBlocking, kCopy);
}

/// Nothing, after a line in `incomplete`, when a part is missing or they do not belong together.
std::optional<LoraLayer> complete(const std::string& name, const Parts& parts,
                                  std::vector<std::string>& incomplete) {
  if (parts.down == nullptr || parts.up == nullptr) {
    incomplete.push_back(
        fmt::format("{}: {} is missing", name, parts.down == nullptr ? "down (A)" : "up (B)"));
    return std::nullopt;
  }
  LoraLayer layer{.down = read_float(*parts.down), .up = read_float(*parts.up)};
  const bool has_rank = layer.down.dim() >= 2 && layer.up.dim() >= 2 && layer.rank() > 0 &&
                        layer.up.size(1) == layer.rank();
  if (!has_rank || (parts.alpha != nullptr && mapped_tensor(*parts.alpha).numel() != 1)) {
    incomplete.push_back(
        fmt::format("{}: expected A [rank, in], B [out, rank] and a single alpha, found A [{}] and "
                    "B [{}]",
                    name, fmt::join(layer.down.sizes(), ", "), fmt::join(layer.up.sizes(), ", ")));
    return std::nullopt;
  }
  if (parts.alpha != nullptr) layer.alpha = read_float(*parts.alpha).item<double>();
  return layer;
}

/// The names of `component`'s layers by what files call them.
LoraNames names_in_files(const std::string& component, const TensorMap& weights) {
  constexpr std::string_view kTextModel = "text_model.";
  LoraNames names;
  for (const auto& [name, weight] : weights) {
    names[name] = name;
    names[kohya_name(name)] = name;
    if (component == "unet") continue;
    // transformers 5 leaves the first part of a CLIP's names out.
    const std::string other = name.starts_with(kTextModel) ? name.substr(kTextModel.size())
                                                           : std::string(kTextModel) + name;
    names[other] = name;
    names[kohya_name(other)] = name;
  }
  return names;
}

}  // namespace

fs::path find_lora(const fs::path& path) {
  if (!fs::is_directory(path)) {
    if (fs::exists(path)) return path;
    throw UserError("{}: does not exist; expected the file of a LoRA, or a folder with {}",
                    path.string(), kLoraFileName);
  }
  for (const fs::path& file : {path / kLoraFileName, path / "model" / kLoraFileName}) {
    if (fs::exists(file)) return file;
  }
  throw UserError("{}: expected {} in the folder, or a run with model/{}; found neither",
                  path.string(), kLoraFileName, kLoraFileName);
}

bool holds_lora(const WeightFiles& file) {
  return std::ranges::any_of(file.tensors(), [](const auto& entry) {
    const std::optional<LoraKey> key = parse_lora_key(entry.first);
    return key && key->part != LoraPart::kAlpha;
  });
}

StoredLora read_lora(const fs::path& path) {
  const WeightFiles file(path);
  std::vector<std::string> strange;
  std::vector<std::string> incomplete;
  const PartsByLayer gathered = gather(file, strange);
  StoredLora lora{.path = path.string(), .layout = {}, .layers = {}};
  const LoraAdapterConfig config{SafetensorsFile(path)};
  for (const auto& [name, parts] : gathered) {
    std::optional<LoraLayer> layer = complete(name.second, parts, incomplete);
    if (!layer) continue;
    if (parts.alpha == nullptr) {
      layer->alpha = config.alpha(name.first, name.second, layer->rank());
    }
    if (lora.layout.empty()) lora.layout = parts.layout;
    lora.layers.push_back({name.first, name.second, *std::move(layer)});
  }
  if (strange.empty() && incomplete.empty() && !lora.layers.empty()) return lora;
  std::string message = path.string() + ": expected the file of a LoRA";
  append_some(message, "keys of another kind (DoRA, LoHa, LoKr and SDXL are not supported)",
              strange);
  append_some(message, "layers that are not whole", incomplete);
  if (file.tensors().empty()) message += ", found no tensors";
  throw DataError(message);
}

LoraLayers place_lora(const StoredLora& lora, const std::string& component,
                      const torch::nn::Module& model, const LoraNames& more_names) {
  const TensorMap weights = adaptable_weights(model);
  LoraNames names = names_in_files(component, weights);
  names.insert(more_names.begin(), more_names.end());
  LoraLayers placed;
  std::vector<std::string> unknown;
  std::vector<std::string> misshapen;
  for (const StoredLoraLayer& stored : lora.layers) {
    if (stored.component != component) continue;
    const auto found = names.find(stored.name);
    if (found == names.end()) {
      unknown.push_back(stored.name);
      continue;
    }
    const at::IntArrayRef shape = weights.at(found->second).sizes();
    if (!stored.layer.fits(shape)) {
      misshapen.push_back(fmt::format("{}: expected a change of [{}], found A [{}] and B [{}]",
                                      stored.name, fmt::join(shape, ", "),
                                      fmt::join(stored.layer.down.sizes(), ", "),
                                      fmt::join(stored.layer.up.sizes(), ", ")));
      continue;
    }
    if (!placed.emplace(found->second, stored.layer).second) {
      unknown.push_back(stored.name + ": a second name of " + found->second);
    }
  }
  if (unknown.empty() && misshapen.empty()) return placed;
  std::string message =
      fmt::format("{}: the LoRA is not one of this model's {}", lora.path, component);
  append_some(message, "layers that the model does not have", unknown);
  append_some(message, "of another shape", misshapen);
  throw UserError(message);
}

void write_lora(const fs::path& file, const LoraLayers& layers, const LoraOptions& options,
                const std::string& format, at::ScalarType dtype) {
  TensorMap tensors;
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  const auto stored = [dtype](const at::Tensor& tensor) { return tensor.detach().to(dtype); };
  if (format == "kohya") {
    for (const auto& [name, layer] : layers) {
      const std::string key = "lora_unet_" + kohya_name(name);
      tensors[key + ".lora_down.weight"] = stored(layer.down);
      tensors[key + ".lora_up.weight"] = stored(layer.up);
      tensors[key + ".alpha"] = at::scalar_tensor(layer.alpha, dtype);
    }
    metadata["ss_network_module"] = "networks.lora";
    metadata["ss_network_dim"] = std::to_string(options.rank);
    metadata["ss_network_alpha"] = fmt::format("{}", options.alpha_or_rank());
  } else {
    for (const auto& [name, layer] : layers) {
      tensors["unet." + name + ".lora_A.weight"] = stored(layer.down);
      tensors["unet." + name + ".lora_B.weight"] = stored(layer.up);
    }
    const nlohmann::json adapter = {{"unet.r", options.rank},
                                    {"unet.lora_alpha", options.alpha_or_rank()},
                                    {"unet.target_modules", options.target_modules}};
    metadata[LoraAdapterConfig::kKey] = adapter.dump(2);
  }
  save_tensors(file, tensors, metadata);
}

}  // namespace crescendo::pipelines
