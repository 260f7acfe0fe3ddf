#include "pipelines/convert.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/log.h"
#include "core/tensor_io.h"
#include "core/weight_files.h"
#include "pipelines/models/model_template.h"
#include "pipelines/models/pickled_weights.h"
#include "pipelines/models/single_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr const char* kIndexFile = "model_index.json";
constexpr const char* kFileExtension = ".safetensors";

void check_paths(const ConvertRequest& request) {
  const std::string in = request.input.string();
  const std::string out = request.output.string();
  if (!fs::exists(request.input)) throw UserError("{}: does not exist", in);
  if (is_pickle_name(request.input) && request.output.extension() != kFileExtension) {
    throw UserError("{}: a pickle becomes one {} file; expected such a name, found {}", in,
                    kFileExtension, out);
  }
  if (is_pickle_name(request.output)) {
    throw UserError("{}: pickles are not written; expected a name ending in {}", out,
                    kFileExtension);
  }
  if (fs::exists(request.output)) {
    throw UserError("{}: exists already; remove it, or choose another name", out);
  }
}

/// `given`, or the model/ of a run.
fs::path model_in(const fs::path& given) {
  fs::path path = fs::exists(given / kIndexFile) ? given : given / "model";
  if (fs::exists(path / kIndexFile)) return path;
  throw UserError("{}: expected a diffusers folder, with {}, or a run with model/", given.string(),
                  kIndexFile);
}

/// Of a component's tensors; empty to keep each as it is.
std::string dtype_for(const ConvertRequest& request, const std::string& component) {
  if (component != "vae") return dtype_of(request.save_precision);
  const bool apart = !request.vae_precision.empty() || request.save_precision.empty();
  return dtype_of(apart ? request.vae_precision : "float");
}

std::vector<SafetensorsStream> streams_of(ComponentCopy component, const ConvertRequest& request) {
  std::vector<SafetensorsStream> streams;
  for (TensorCopy& tensor : component.tensors) {
    streams.push_back(stream_of(std::move(tensor), dtype_for(request, component.component)));
  }
  return streams;
}

void write(const fs::path& file, std::vector<SafetensorsStream> streams) {
  write_safetensors_streams(file, std::move(streams), {{"format", "pt"}});
}

/// "model" -> model.safetensors, or model.fp16.safetensors
std::string weights_name(const std::string& stem, const std::string& variant) {
  return stem + (variant.empty() ? "" : "." + variant) + kFileExtension;
}

void file_to_folder(const ConvertRequest& request) {
  if (request.output.extension() == kFileExtension) {
    throw UserError("{}: a single file becomes a folder; expected a name without {}",
                    request.output.string(), kFileExtension);
  }
  const WeightFiles file(request.input);
  require_single_file(file);
  const fs::path configs =
      request.config.empty() ? choose_template(file, request.templates) : model_in(request.config);
  std::vector<ComponentCopy> components = components_of_file(file, configs);
  write_folder_atomically(request.output, [&](const fs::path& folder) {
    copy_template(configs, folder);
    for (ComponentCopy& component : components) {
      const char* stem =
          component.component == "text_encoder" ? "model" : "diffusion_pytorch_model";
      const fs::path path = folder / component.component / weights_name(stem, request.variant);
      write(path, streams_of(std::move(component), request));
    }
  });
}

/// Without running what the pickle may ask for.
void pickle_to_file(const ConvertRequest& request) {
  TensorMap tensors = load_pickled_weights(request.input);
  const at::ScalarType dtype = real_type(dtype_of(request.save_precision));
  for (auto& [name, tensor] : tensors) {
    if (!request.save_precision.empty() && tensor.is_floating_point()) tensor = tensor.to(dtype);
  }
  save_tensors(request.output, tensors, {{"format", "pt"}});
}

/// What a model has unlike Stable Diffusion 1.5 and its weights do not tell: "key = value".
std::vector<std::string> untold_by_weights(const fs::path& model) {
  std::vector<std::string> untold;
  const auto compare = [&](const Json& config, const char* key, const Json& usual) {
    const Json found = config.value(key, usual);
    if (found != usual) untold.push_back(fmt::format("{} = {}", key, found.dump()));
  };
  const Json scheduler = read_json_file(model / "scheduler" / "scheduler_config.json");
  if (scheduler.is_object()) {
    // That of another formulation: flow matching, or EDM.
    if (!scheduler.contains("beta_schedule")) compare(scheduler, "_class_name", nullptr);
    compare(scheduler, "prediction_type", "epsilon");
    compare(scheduler, "rescale_betas_zero_snr", false);
  }
  compare(read_json_file(model / "unet" / "config.json"), "dtr_alpha", nullptr);
  return untold;
}

void folder_to_file(const ConvertRequest& request, const fs::path& model) {
  std::vector<SafetensorsStream> streams;
  for (ComponentCopy& component : file_of_components(model)) {
    for (SafetensorsStream& stream : streams_of(std::move(component), request)) {
      streams.push_back(std::move(stream));
    }
  }
  const std::vector<std::string> untold = untold_by_weights(model);
  write(request.output, std::move(streams));
  log::info("the file holds weights alone, no scheduler and no tokenizer");
  if (!untold.empty()) {
    log::warn("whoever reads {} has to be told: {}", request.output.string(),
              fmt::join(untold, ", "));
  }
}

void folder_to_folder(const ConvertRequest& request, const fs::path& model) {
  if (request.save_precision.empty() && request.vae_precision.empty()) {
    throw UserError(
        "{}: nothing to convert to; expected a name ending in {} for a single file, or "
        "--save-precision for a folder",
        request.output.string(), kFileExtension);
  }
  write_folder_atomically(request.output, [&](const fs::path& folder) {
    fs::copy_file(model / kIndexFile, folder / kIndexFile);
    for (const auto& entry : fs::directory_iterator(model)) {
      if (!entry.is_directory()) continue;
      const fs::path name = entry.path().filename();
      copy_configs(entry.path(), folder / name);
      if (!fs::exists(entry.path() / "config.json")) continue;  // no weights
      const WeightFiles weights(weights_file_in(entry.path()));
      ComponentCopy component{name.string(), {}};
      for (const auto& [key, tensor] : weights.tensors()) {
        component.tensors.push_back({.name = key,
                                     .dtype = tensor.entry->dtype,
                                     .shape = tensor.entry->shape,
                                     .pieces = {{tensor.file, tensor.bytes()}}});
      }
      // Of model.safetensors as of model.fp16.safetensors and model.safetensors.index.json.
      const std::string file = weights.path().filename().string();
      write(folder / name / weights_name(file.substr(0, file.find('.')), request.variant),
            streams_of(std::move(component), request));
    }
  });
}

}  // namespace

void convert(const ConvertRequest& request) {
  check_paths(request);
  const bool to_file = request.output.extension() == kFileExtension;
  if (to_file && !request.variant.empty()) {
    throw UserError("--variant: is for the names in a folder; a single file has the name you give");
  }
  if (is_pickle_name(request.input)) return pickle_to_file(request);
  if (!fs::is_directory(request.input)) return file_to_folder(request);
  if (!request.config.empty()) {
    throw UserError("--config: is for a single file; a folder has its configurations");
  }
  const fs::path model = model_in(request.input);
  to_file ? folder_to_file(request, model) : folder_to_folder(request, model);
}

}  // namespace crescendo::pipelines
