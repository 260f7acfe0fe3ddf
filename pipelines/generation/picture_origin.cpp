#include "pipelines/generation/picture_origin.h"

#include <utility>

#include <fmt/format.h>

#include "pipelines/generation/webui_names.h"

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

namespace {

/// Quoted where the readers of such texts would take it apart.
std::string quote_value(const std::string& value) {
  return value.find_first_of(",:\n") == std::string::npos ? value : Json(value).dump();
}

/// "models/sd15/" -> "sd15"; of a file without its suffix.
std::string model_name(const std::filesystem::path& model) {
  const std::filesystem::path path = model.has_filename() ? model : model.parent_path();
  return path.extension() == ".safetensors" ? path.stem().string() : path.filename().string();
}

bool is_guided_by_interval(const GenerationOptions& options) {
  return options.guidance_start > 0 || options.guidance_end < 1;
}

}  // namespace

std::string parameters_text(const PictureOrigin& origin) {
  const GenerationOptions& options = origin.options;
  const ImageRequest& request = origin.request;
  std::vector<std::pair<std::string, std::string>> fields{
      {"Steps", fmt::to_string(options.sampler.steps)},
      {"Sampler", std::string(webui_sampler_name(options.sampler.sampler))}};
  const auto add = [&](const char* name, auto value) {
    fields.emplace_back(name, fmt::to_string(value));
  };
  if (options.sampler.uses_sigmas()) {
    add("Schedule type", webui_scheduler_name(options.sampler.scheduler));
  }
  add("CFG scale", options.cfg_scale);
  add("Seed", request.seed);
  add("Size", fmt::format("{}x{}", options.width, options.height));
  if (!origin.model.path.empty()) add("Model", model_name(origin.model.path));
  if (!origin.label.empty()) add("Class", origin.label);
  if (options.initial) add("Denoising strength", options.initial->strength);
  if (options.sampler.eta > 0) add("Eta", options.sampler.eta);
  if (options.guidance_rescale > 0) add("CFG Rescale", options.guidance_rescale);
  if (is_guided_by_interval(options)) {
    add("Guidance interval", fmt::format("{}-{}", options.guidance_start, options.guidance_end));
  }
  std::string loras;
  for (const LoraChoice& lora : origin.model.loras) {
    loras += fmt::format("{}{}: {}", loras.empty() ? "" : ", ", model_name(lora.path), lora.weight);
  }
  if (!loras.empty()) add("Loras", loras);
  add("Version", "crescendo " CRESCENDO_VERSION);

  std::string text = origin.label.empty() ? request.prompt : "class " + origin.label;
  if (!request.negative_prompt.empty()) text += "\nNegative prompt: " + request.negative_prompt;
  if (!text.empty()) text += '\n';
  for (std::size_t i = 0; i < fields.size(); ++i) {
    text +=
        fmt::format("{}{}: {}", i == 0 ? "" : ", ", fields[i].first, quote_value(fields[i].second));
  }
  return text;
}

Json to_json(const PictureOrigin& origin) {
  const GenerationOptions& options = origin.options;
  const ImageRequest& request = origin.request;
  Json json{{"version", CRESCENDO_VERSION}, {"model", origin.model.path.string()}};
  if (!origin.model.config.empty()) json["config"] = origin.model.config.string();
  for (const LoraChoice& lora : origin.model.loras) {
    json["lora"].push_back({{"path", lora.path.string()}, {"weight", lora.weight}});
  }
  if (!origin.label.empty()) {
    json["label"] = origin.label;
  } else {
    json["prompt"] = request.prompt;
    json["negative_prompt"] = request.negative_prompt;
  }
  json["seed"] = request.seed;
  if (!origin.files.latents.empty()) {
    json["latents"] = origin.files.latents.string();
    json["latents_row"] = origin.files.latents_row;
  }
  json["width"] = options.width;
  json["height"] = options.height;
  json["steps"] = options.sampler.steps;
  json["sampler"] = options.sampler.sampler;
  json["scheduler"] = options.sampler.scheduler;
  json["timestep_spacing"] = options.sampler.timestep_spacing;
  json["eta"] = options.sampler.eta;
  json["cfg_scale"] = options.cfg_scale;
  json["guidance_interval"] = {options.guidance_start, options.guidance_end};
  json["guidance_rescale"] = options.guidance_rescale;
  if (options.initial) {
    json["init_img"] = origin.files.init_image.string();
    json["strength"] = options.initial->strength;
    if (!origin.files.mask.empty()) json["mask"] = origin.files.mask.string();
  }
  json["dtype"] = origin.model.dtype;
  json["vae_tiling"] = origin.model.vae_tiling;
  json["vae_slicing"] = origin.model.vae_slicing;
  return json;
}

}  // namespace crescendo::pipelines
