#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/lora.h"
#include "core/weight_files.h"

namespace crescendo::pipelines {

// A LoRA in a file, in any of the layouts of lora_keys.h.

/// The name of the file in a folder, as diffusers has it.
inline constexpr const char* kLoraFileName = "pytorch_lora_weights.safetensors";

/// What a file says of one layer, under the file's own name for it.
struct StoredLoraLayer {
  std::string component;  ///< unet or text_encoder
  std::string name;       ///< "....attn1.to_q", in kohya's layout "..._attn1_to_q"
  LoraLayer layer;        ///< in float32
};

struct StoredLora {
  std::string path;
  std::string layout;  ///< peft, diffusers, processor or kohya
  std::vector<StoredLoraLayer> layers;
};

/// `path`, or in a folder kLoraFileName, of a run that in model/. Throws UserError.
std::filesystem::path find_lora(const std::filesystem::path& path);

/// True when some key is of a LoRA.
bool holds_lora(const WeightFiles& file);

/// Throws DataError that lists every key that is not of a LoRA or lacks its counterpart, so that
/// nothing in the file is ignored.
StoredLora read_lora(const std::filesystem::path& path);

/// Names of a component's layers by what a file may call them.
using LoraNames = std::map<std::string, std::string>;

/// The layers of `lora` that are of `component`, by their names in `model`. `more_names` are known
/// besides those of the layouts. Throws UserError that lists what `model` does not have.
LoraLayers place_lora(const StoredLora& lora, const std::string& component,
                      const torch::nn::Module& model, const LoraNames& more_names = {});

/// Writes the LoRA of a U-Net, atomically, in the layout peft (format "diffusers") or kohya's
/// (format "kohya"). `options` are those it was trained with.
void write_lora(const std::filesystem::path& file, const LoraLayers& layers,
                const LoraOptions& options, const std::string& format,
                at::ScalarType dtype = at::kFloat);

}  // namespace crescendo::pipelines
