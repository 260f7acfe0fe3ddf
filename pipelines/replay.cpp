#include "pipelines/replay.h"

#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "dataloader/decode_image.h"
#include "pipelines/parameters_request.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

dataloader::ImageText texts_of(const fs::path& picture) {
  const std::string bytes = read_file(picture);
  try {
    return dataloader::read_image_text(std::as_bytes(std::span(bytes)));
  } catch (const dataloader::SampleError& failure) {
    throw UserError("{}: {}", picture.string(), failure.what());
  }
}

/// Takes over a key where there is one: an older version may have written fewer.
template <typename Value>
void take(const Json& json, const char* key, Value& value) {
  if (json.contains(key)) value = json.at(key).get<Value>();
}

template <typename Value>
void take(const Json& json, const char* key, std::optional<Value>& value) {
  if (json.contains(key)) value = json.at(key).get<Value>();
}

void take(const Json& json, const char* key, fs::path& path) {
  if (json.contains(key)) path = json.at(key).get<std::string>();
}

GenerateRequest request_of(const Json& json) {
  GenerateRequest request;
  take(json, "model", request.model.path);
  take(json, "config", request.model.config);
  for (const Json& lora : json.value("lora", Json::array())) {
    request.model.loras.push_back(
        {lora.at("path").get<std::string>(), lora.at("weight").get<double>()});
  }
  if (json.contains("prompt")) request.prompts = {json.at("prompt").get<std::string>()};
  if (json.contains("label")) request.labels = {json.at("label").get<std::string>()};
  take(json, "negative_prompt", request.negative_prompt);
  take(json, "seed", request.seed);
  take(json, "latents", request.latents);
  take(json, "latents_row", request.latents_row);
  take(json, "init_img", request.init_image);
  take(json, "strength", request.strength);
  take(json, "mask", request.mask);
  take(json, "width", request.width);
  take(json, "height", request.height);
  take(json, "steps", request.steps);
  take(json, "sampler", request.sampler);
  take(json, "scheduler", request.scheduler);
  take(json, "timestep_spacing", request.timestep_spacing);
  take(json, "eta", request.eta);
  take(json, "cfg_scale", request.cfg_scale);
  if (json.contains("guidance_interval")) {
    request.guidance_start = json.at("guidance_interval").at(0).get<double>();
    request.guidance_end = json.at("guidance_interval").at(1).get<double>();
  }
  take(json, "guidance_rescale", request.guidance_rescale);
  take(json, "dtype", request.model.dtype);
  take(json, "vae_tiling", request.model.vae_tiling);
  take(json, "vae_slicing", request.model.vae_slicing);
  return request;
}

GenerateRequest request_of_json(const std::string& text, const fs::path& picture) {
  try {
    const Json json = Json::parse(text);
    if (json.is_array()) {
      throw UserError("{}: a grid of {} pictures; expected one picture", picture.string(),
                      json.size());
    }
    return request_of(json);
  } catch (const Json::exception& failure) {
    throw DataError("{}: the text 'crescendo' is malformed: {}", picture.string(), failure.what());
  }
}

}  // namespace

GenerateRequest request_of_picture(const fs::path& picture) {
  const dataloader::ImageText texts = texts_of(picture);
  if (const auto json = texts.find("crescendo"); json != texts.end()) {
    return request_of_json(json->second, picture);
  }
  if (const auto text = texts.find("parameters"); text != texts.end()) {
    return request_of_parameters(text->second, picture);
  }
  throw UserError(
      "{}: expected a picture that tells how it was made, in the text 'crescendo' or 'parameters' "
      "of a PNG or the UserComment of a JPEG or WebP; found none of them",
      picture.string());
}

}  // namespace crescendo::pipelines
