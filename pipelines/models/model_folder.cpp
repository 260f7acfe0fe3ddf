#include "pipelines/models/model_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/image_format.h"
#include "core/module_io.h"
#include "core/text.h"
#include "diffusion/scheduler_config.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/models/prompt_length.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kIndexFile = "model_index.json";
constexpr const char* kClipType = "clip_text_model";

nlohmann::ordered_json component(const char* library, const std::string& class_name) {
  return nlohmann::ordered_json::array({library, class_name});
}

/// The names that transformers gives to a text encoder and its tokenizer.
struct TextClasses {
  const char* model;
  const char* tokenizer;
};

TextClasses text_classes(const nlohmann::json& config) {
  const std::string type = config.value("model_type", "");
  if (type == kClipType) return {"CLIPTextModel", "CLIPTokenizer"};
  if (type == "t5") return {"T5EncoderModel", "T5TokenizerFast"};
  return {"BertModel", "BertTokenizerFast"};
}

nlohmann::ordered_json model_index(const DiffusionModel& model, const std::string& scheduler_class,
                                   const fs::path& text_encoder_path) {
  nlohmann::ordered_json index;
  index["_class_name"] = model.text_encoder ? "StableDiffusionPipeline" : "CrescendoPipeline";
  index["unet"] = component("diffusers", "UNet2DConditionModel");
  index["vae"] = component("diffusers", model.vae->class_name());
  index["scheduler"] = component("diffusers", scheduler_class);
  if (model.text_encoder) {
    const nlohmann::json config =
        read_json_file(component_folder(text_encoder_path, "text_encoder") / "config.json");
    const TextClasses classes = text_classes(config);
    index["text_encoder"] = component("transformers", classes.model);
    index["tokenizer"] = component("transformers", classes.tokenizer);
    for (const char* absent : {"safety_checker", "feature_extractor", "image_encoder"}) {
      index[absent] = {nullptr, nullptr};
    }
    index["requires_safety_checker"] = false;
  }
  if (!model.class_names.empty()) index["class_names"] = model.class_names;
  if (model.null_class) index["null_class"] = *model.null_class;
  return index;
}

/// Copies a JSON file, with one key changed where it is not `value` already.
void copy_json(const fs::path& from, const fs::path& to, const char* key,
               const nlohmann::ordered_json& value) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (fs::exists(from)) json = nlohmann::ordered_json::parse(read_file(from));
  if (json.contains(key) && json[key] == value) {
    fs::copy_file(from, to);
    return;
  }
  json[key] = value;
  write_file_atomically(to, json.dump(2) + "\n");
}

/// One file gets the name that is looked for first; shards keep theirs, which the index knows.
void copy_weights(const fs::path& from, const fs::path& to) {
  const WeightFiles files(weights_file_in(from));
  const std::vector<fs::path> paths = files.paths();
  for (const fs::path& path : paths) {
    fs::copy_file(path, to / (paths.size() == 1 ? "model.safetensors" : path.filename()));
  }
}

void save_text_encoder(const text_encoder::TextEncoder& encoder, const fs::path& source,
                       const fs::path& folder) {
  const fs::path weights = component_folder(source, "text_encoder");
  fs::create_directories(folder / "text_encoder");
  copy_weights(weights, folder / "text_encoder");
  const fs::path config = folder / "text_encoder" / "config.json";
  if (read_json_file(weights / "config.json").value("model_type", "") == kClipType) {
    fs::copy_file(weights / "config.json", config);
  } else {
    // Asks StableDiffusionPipeline to mask the padding in the encoder, as we do.
    copy_json(weights / "config.json", config, "use_attention_mask", true);
  }

  const fs::path tokenizer = component_folder(source, "tokenizer");
  fs::create_directories(folder / "tokenizer");
  for (const char* name : {"vocab.txt", "vocab.json", "merges.txt", "tokenizer.json",
                           "special_tokens_map.json", "added_tokens.json", "spiece.model"}) {
    if (fs::exists(tokenizer / name)) {
      fs::copy_file(tokenizer / name, folder / "tokenizer" / name);
    }
  }
  copy_json(tokenizer / "tokenizer_config.json", folder / "tokenizer" / "tokenizer_config.json",
            "model_max_length", encoder.max_length());
}

void require_match(bool fits, const fs::path& path, const std::string& what) {
  if (!fits) throw UserError("{}: the components do not belong together: {}", path.string(), what);
}

}  // namespace

std::int64_t DiffusionModel::num_classes() const {
  if (!class_names.empty()) return static_cast<std::int64_t>(class_names.size());
  return null_class.value_or(unet->options().num_class_embeds.value_or(0));
}

std::int64_t DiffusionModel::class_number(const std::string& text, const std::string& where) const {
  const std::int64_t number = parse_class(text, class_names, where);
  if (number < num_classes()) return number;
  throw UserError("{}: expected a class from 0 to {}, found {}", where, num_classes() - 1, number);
}

Conditioner DiffusionModel::conditioner(at::Device device) const {
  return {conditioning_kind(unet->options()), text_encoder.get(), null_class, device};
}

void DiffusionModel::to(at::Device device) {
  move_to(*unet, device);
  move_to(*vae, device);
  if (text_encoder) text_encoder->to(device);
}

std::int64_t DiffusionModel::latent_side(std::int64_t pixels, const char* where) const {
  const std::int64_t factor = vae->downscale_factor() * unet->options().downscale_factor();
  if (pixels % factor != 0 || pixels <= 0) {
    const std::int64_t below = std::max(pixels / factor, std::int64_t{1}) * factor;
    throw UserError(
        "{}: expected a multiple of {} pixels, as the autoencoder and the U-Net halve "
        "them, found {}; the nearest are {} and {}",
        where, factor, pixels, below, below + factor);
  }
  return pixels / vae->downscale_factor();
}

fs::path component_folder(const fs::path& path, const char* subfolder) {
  return fs::is_directory(path / subfolder) ? path / subfolder : path;
}

std::unique_ptr<text_encoder::TextEncoder> open_text_encoder(const fs::path& path,
                                                             std::int64_t max_length,
                                                             const Placement& placement) {
  return text_encoder::load_text_encoder(component_folder(path, "text_encoder"),
                                         component_folder(path, "tokenizer"), max_length,
                                         placement);
}

std::int64_t parse_class(const std::string& text, const std::vector<std::string>& names,
                         const std::string& where) {
  const auto found = std::ranges::find(names, text);
  if (found != names.end()) return found - names.begin();
  std::int64_t number = -1;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && last == end && number >= 0) return number;
  const std::string nearest = nearest_name(text, names);
  throw UserError("{}: expected the number or name of a class, found '{}'{}", where, text,
                  nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest));
}

DiffusionModel load_model(const fs::path& given, const Placement& placement) {
  const fs::path path = fs::exists(given / kIndexFile) ? given : component_folder(given, "model");
  if (fs::exists(path / kLoraFileName) && !fs::exists(path / kIndexFile)) {
    throw UserError(
        "{}: a LoRA, not a model; expected the model it was trained on, and this one as --lora {}",
        given.string(), given.string());
  }
  if (!fs::exists(path / kIndexFile)) {
    throw UserError(
        "{}: expected a model folder, with {}, unet/, vae/ and scheduler/, or a run with model/",
        given.string(), kIndexFile);
  }
  const nlohmann::json index = read_json_file(path / kIndexFile);
  DiffusionModel model;
  const fs::path scheduler = path / "scheduler" / "scheduler_config.json";
  const nlohmann::json config = read_json_file(scheduler);
  model.diffusion = diffusion::read_scheduler_config(config, scheduler.string());
  model.sampler = diffusion::read_sampler_options(config, scheduler.string());
  model.unet = unet::load_unet(path / "unet", placement);
  model.vae =
      vae::load_autoencoder(path / "vae", {.device = placement.device, .mapped = placement.mapped});
  const unet::UNet2DConditionOptions& options = model.unet->options();
  require_match(options.in_channels == model.vae->latent_channels(), path,
                fmt::format("the U-Net takes {} channels, the autoencoder makes {}",
                            options.in_channels, model.vae->latent_channels()));
  if (conditioning_kind(options) == ConditioningKind::kText) {
    model.text_encoder = open_text_encoder(path, prompt_length(path / "tokenizer"), placement);
    require_match(options.cross_attention_dim.at(0) == model.text_encoder->dim(), path,
                  fmt::format("the U-Net attends to vectors of {}, the text encoder makes {}",
                              options.cross_attention_dim.at(0), model.text_encoder->dim()));
  }
  try {
    model.class_names = index.value("class_names", std::vector<std::string>{});
    if (index.contains("null_class")) model.null_class = index["null_class"].get<std::int64_t>();
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("{}: {}", (path / kIndexFile).string(), failure.what());
  }
  return model;
}

at::ScalarType dtype_named(const std::string& dtype) {
  if (dtype == "float16") return at::kHalf;
  return dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

at::ScalarType save_dtype(const std::string& save_precision) {
  if (save_precision == "fp16") return at::kHalf;
  return save_precision == "bf16" ? at::kBFloat16 : at::kFloat;
}

void save_model(DiffusionModel model, const fs::path& folder, const fs::path& text_encoder_path,
                at::ScalarType dtype, const unet::UNet2DConditionModel& non_ema) {
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    unet::save_unet(model.unet, temporary / "unet", dtype);
    if (non_ema) {
      save_weights(*non_ema, temporary / "unet" / "diffusion_pytorch_model.non_ema.safetensors",
                   dtype);
    }
    vae::save_autoencoder(*model.vae, temporary / "vae", dtype);
    const nlohmann::ordered_json scheduler =
        diffusion::scheduler_config(model.diffusion, model.sampler);
    write_file_atomically(temporary / "scheduler" / "scheduler_config.json",
                          scheduler.dump(2) + "\n");
    if (model.text_encoder) save_text_encoder(*model.text_encoder, text_encoder_path, temporary);
    write_file_atomically(
        temporary / kIndexFile,
        model_index(model, scheduler["_class_name"], text_encoder_path).dump(2) + "\n");
  });
}

}  // namespace crescendo::pipelines
