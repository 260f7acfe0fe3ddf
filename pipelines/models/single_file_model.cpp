#include "pipelines/models/single_file_model.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/fields.h"
#include "core/skip_init.h"
#include "diffusion/scheduler_config.h"
#include "pipelines/models/model_template.h"
#include "pipelines/models/prompt_length.h"
#include "pipelines/models/single_file.h"
#include "text_encoder/clip.h"
#include "vae/autoencoder_kl.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// Over the mapped bytes, which it keeps mapped; a copy where they are not aligned.
at::Tensor tensor_of(const TensorCopy& copy) {
  const at::ScalarType dtype = real_type(copy.dtype);
  if (dtype == at::ScalarType::Undefined) {
    throw DataError("{}: expected real numbers, found {}", copy.name, copy.dtype);
  }
  const TensorPiece& piece = copy.pieces.at(0);  // of a single file there is one
  Shape shape = copy.shape;
  if (copy.transposed) std::swap(shape.at(0), shape.at(1));
  at::Tensor tensor;
  if (reinterpret_cast<std::uintptr_t>(piece.bytes.data()) % c10::elementSize(dtype) == 0) {
    tensor = at::from_blob(
        const_cast<std::byte*>(piece.bytes.data()), shape, [file = piece.file](void* /*bytes*/) {},
        dtype);
  } else {
    tensor = at::empty(shape, dtype);
    std::memcpy(tensor.data_ptr(), piece.bytes.data(), piece.bytes.size());
  }
  return copy.transposed ? tensor.t().contiguous() : tensor;
}

/// Gives `module` the weights of a component.
void fill(torch::nn::Module& module, const ComponentCopy& component, const Placement& placement) {
  const c10::NoGradGuard no_grad;
  TensorMap state = state_of(module);
  for (const TensorCopy& copy : component.tensors) {
    const auto target = state.find(copy.name);
    if (target == state.end()) continue;  // what older files hold beside the weights
    target->second.set_data(tensor_of(copy).to(placement.device, placement.dtype));
    state.erase(target);
  }
  if (state.empty()) return;
  throw DataError("{}: the file has no tensor for '{}'", component.component, state.begin()->first);
}

template <typename Model, typename Options>
Model filled(const Options& options, const ComponentCopy& component, const Placement& placement) {
  Model model = [&] {
    const SkipInit skip_init;
    return Model(options);
  }();
  fill(*model, component, placement);
  return model;
}

const ComponentCopy& find(const std::vector<ComponentCopy>& components, const char* name) {
  return *std::ranges::find(components, name, &ComponentCopy::component);
}

}  // namespace

DiffusionModel load_single_file(const fs::path& path, const fs::path& config,
                                const fs::path& templates, const Placement& placement) {
  const WeightFiles file(path);
  require_single_file(file);
  const fs::path configs =
      config.empty() ? choose_template(file, templates) : component_folder(config, "model");
  const std::vector<ComponentCopy> components = components_of_file(file, configs);

  DiffusionModel model;
  const std::string scheduler = (configs / "scheduler" / "scheduler_config.json").string();
  const nlohmann::json scheduler_config = read_json_file(scheduler);
  model.diffusion = diffusion::read_scheduler_config(scheduler_config, scheduler);
  model.sampler = diffusion::read_sampler_options(scheduler_config, scheduler);

  const auto config_of = [&](const char* component) {
    return (configs / component / "config.json").string();
  };
  const std::string unet = config_of("unet");
  model.unet = filled<unet::UNet2DConditionModel>(
      unet::read_unet_options(read_json_file(unet), unet), find(components, "unet"), placement);
  const std::string vae = config_of("vae");
  model.vae = filled<vae::AutoencoderKL>(vae::read_autoencoder_kl_options(read_json_file(vae), vae),
                                         find(components, "vae"), {.device = placement.device})
                  .ptr();
  const std::string text = config_of("text_encoder");
  const auto text_options = text_encoder::read_clip_text_options(read_json_file(text), text);
  auto text_model = filled<text_encoder::CLIPTextModel>(
      text_options, find(components, "text_encoder"), placement);
  model.text_encoder = std::make_shared<text_encoder::TextEncoder>(
      text_encoder::load_tokenizer(configs / "tokenizer"), text_model.ptr(),
      prompt_length(configs / "tokenizer"));
  return model;
}

}  // namespace crescendo::pipelines
