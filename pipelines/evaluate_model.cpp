#include "pipelines/evaluate_model.h"

#include <utility>

#include <fmt/format.h>

#include "pipelines/drawing_model.h"
#include "pipelines/evaluation/sha256.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/runs/run_folder.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::int64_t kSamples = 50'000;  // as papers draw

/// Where the weights are that a model is drawn with.
fs::path weights_folder(const fs::path& path) {
  if (has_finished_model(path)) return path / "model";
  if (const auto newest = newest_whole_checkpoint(path)) return newest->path;
  return path;
}

/// Of a file, or of all weights that `path` is drawn with.
std::string hash_of(const fs::path& path) {
  if (!fs::is_directory(path)) return sha256_of_file(path);
  const fs::path folder = weights_folder(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  return sha256_of_files(folder, std::move(files));
}

/// Of the model, and of the LoRAs where there are any.
std::string hash_of_weights(const ModelChoice& choice) {
  std::string model = hash_of(choice.path);
  if (choice.loras.empty()) return model;
  Sha256 sha;
  sha.add(model);
  for (const LoraChoice& lora : choice.loras) {
    sha.add(fmt::format(" {} {}", hash_of(lora.path), lora.weight));
  }
  return sha.finish();
}

/// All that the images are a function of, beside prompts and numbers.
Json drawing_of(const EvaluateRequest& request, const GenerationOptions& options) {
  Json json{{"sha256", hash_of_weights(request.drawing.model)},
            {"sampler", options.sampler.sampler},
            {"scheduler", options.sampler.scheduler},
            {"spacing", options.sampler.timestep_spacing},
            {"steps", options.sampler.steps},
            {"guidance", options.cfg_scale}};
  if (options.guidance_start > 0 || options.guidance_end < 1) {
    json["guidance_interval"] = {options.guidance_start, options.guidance_end};
  }
  if (options.guidance_rescale > 0) json["guidance_rescale"] = options.guidance_rescale;
  if (options.sampler.eta > 0) json["eta"] = options.sampler.eta;
  json["size"] = fmt::format("{}x{}", options.width, options.height);
  json["dtype"] = request.drawing.model.dtype;
  json["seed"] = request.seed;
  return json;
}

}  // namespace

EvaluatedModel::EvaluatedModel(const EvaluateRequest& request, at::Device device)
    : request_(request), device_(device) {
  const GenerateRequest& drawing = request.drawing;
  model_ = open_drawing_model(drawing.model, device);
  const ImageGenerator generator(model_, device);
  options_ = drawing_options(drawing, generator);
  options_.width = drawing.width.value_or(options_.width);
  options_.height = drawing.height.value_or(options_.height);
  generator.check(options_);
}

std::unique_ptr<GeneratedImages> EvaluatedModel::images(
    const std::vector<std::string>& captions, const std::vector<std::string>& labels) const {
  return std::make_unique<GeneratedImages>(
      model_, device_,
      GeneratedImagesOptions{
          .subjects = choose_subjects(model_, request_.subjects, captions, labels, request_.seed,
                                      "--prompts-file"),
          .seed = request_.seed,
          .samples = static_cast<std::uint64_t>(request_.samples.value_or(kSamples)),
          .batch_size = static_cast<std::uint64_t>(request_.batch_size),
          .origin = {.model = request_.drawing.model, .options = options_},
          .folder = request_.save_images,
          .drawing = drawing_of(request_, options_)});
}

}  // namespace crescendo::pipelines
