#include "pipelines/evaluation/clip_model.h"

#include <array>
#include <memory>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/module_list.h"
#include "core/weight_files.h"
#include "dataloader/resize.h"
#include "pipelines/evaluation/sha256.h"
#include "text_encoder/transformers_keys.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::array<double, 3> kMean{0.48145466, 0.4578275, 0.40821073};
constexpr std::array<double, 3> kStd{0.26862954, 0.26130258, 0.27577711};

constexpr double kMaxWidth = 1 << 20;
constexpr double kMaxDepth = 1 << 10;
constexpr double kMaxSide = 1 << 14;

std::vector<Field> fields(ClipVisionOptions& o) {
  return {{"hidden_size", &o.hidden_size, "width of the hidden states", 1, kMaxWidth},
          {"intermediate_size", &o.intermediate_size, "width inside the layers", 1, kMaxWidth},
          {"num_hidden_layers", &o.num_hidden_layers, "layers", 1, kMaxDepth},
          {"num_attention_heads", &o.num_attention_heads, "heads of each attention", 1, kMaxWidth},
          {"image_size", &o.image_size, "pixels a side", 1, kMaxSide},
          {"patch_size", &o.patch_size, "pixels a side of a patch", 1, kMaxSide},
          {.name = "hidden_act",
           .value = &o.hidden_act,
           .doc = "activation of the feed-forward layers",
           .choices = {"quick_gelu", "gelu"}},
          {"layer_norm_eps", &o.layer_norm_eps, "added to the variance in layer norms", 0, 1}};
}

/// A layer of the image encoder is built as one of the text encoder.
text_encoder::CLIPTextOptions layer_options(const ClipVisionOptions& options) {
  text_encoder::CLIPTextOptions layer;
  layer.hidden_size = options.hidden_size;
  layer.num_attention_heads = options.num_attention_heads;
  layer.intermediate_size = options.intermediate_size;
  layer.hidden_act = options.hidden_act;
  layer.layer_norm_eps = options.layer_norm_eps;
  return layer;
}

torch::nn::LayerNorm layer_norm(const ClipVisionOptions& options) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({options.hidden_size}).eps(options.layer_norm_eps));
}

ClipModelOptions read_options(const fs::path& file, const WeightFiles& weights) {
  const nlohmann::json config = read_json_file(file);
  if (!config.is_object() || !config.contains("vision_config") || !config.contains("text_config")) {
    throw DataError("{}: expected that of a CLIPModel, with text_config and vision_config",
                    file.string());
  }
  ModelConfigRules rules{.ignored = text_encoder::transformers_keys()};
  rules.ignored.insert(rules.ignored.end(),
                       {"attention_dropout", "dropout", "projection_dim", "num_channels"});
  ClipModelOptions options;
  options.text =
      text_encoder::read_clip_text_options(config["text_config"], file.string() + ": text_config");
  read_model_config(config["vision_config"], file.string() + ": vision_config",
                    fields(options.vision), rules);
  const ClipVisionOptions& vision = options.vision;
  if (vision.hidden_size % vision.num_attention_heads != 0 ||
      vision.image_size % vision.patch_size != 0) {
    throw DataError(
        "{}: vision_config: expected heads that divide hidden_size, and patches that "
        "divide image_size",
        file.string());
  }
  options.projection_dim = config.value("projection_dim", options.projection_dim);
  options.position_ids = weights.contain("text_model.embeddings.position_ids");
  weights.require_parameters(text_encoder::count_parameters(options.text) +
                                 vision.num_hidden_layers * vision.hidden_size *
                                     (4 * vision.hidden_size + 2 * vision.intermediate_size) +
                                 options.projection_dim * vision.hidden_size,
                             file.string());
  return options;
}

/// A picture of uint8 [3,H,W], its shorter side made `side`, and its middle cut out: [3,S,S].
at::Tensor cut_middle(const at::Tensor& picture, std::int64_t side) {
  const at::Tensor pixels = picture.to(at::kCPU).permute({1, 2, 0}).contiguous();
  const auto* first = pixels.const_data_ptr<std::uint8_t>();
  const dataloader::Image image{pixels.size(1), pixels.size(0), {first, first + pixels.numel()}};
  const dataloader::Size scaled = dataloader::short_side_size({image.width, image.height}, side);
  // Not dataloader::center_window(), which rounds halves otherwise.
  const dataloader::Window window{
      (scaled.width - side) / 2, (scaled.height - side) / 2, {side, side}};
  dataloader::Image cut = dataloader::resize(image, scaled, window, dataloader::Filter::kBicubic);
  return at::tensor(at::ArrayRef<std::uint8_t>(cut.pixels), at::kByte)
      .view({side, side, 3})
      .permute({2, 0, 1});
}

at::Tensor of_channels(const std::array<double, 3>& values) {
  return at::tensor(at::ArrayRef<double>(values.data(), values.size()), at::kFloat)
      .view({1, 3, 1, 1});
}

std::shared_ptr<torch::nn::Module> group() { return std::make_shared<torch::nn::Module>(); }

/// A group whose parameter that sets.
class EmbeddingsImpl : public torch::nn::Module {
 public:
  using torch::nn::Module::register_buffer;
  using torch::nn::Module::register_parameter;
};

}  // namespace

ClipModelImpl::ClipModelImpl(const ClipModelOptions& options) : options_(options) {
  text_model_ = register_module(
      "text_model", text_encoder::CLIPTextModel(
                        options.text, text_encoder::CLIPTextNames{
                                          .prefix = false, .position_ids = options.position_ids}));
  register_vision(options.vision, options.position_ids);
  const auto projection = [&](const char* name, std::int64_t width) {
    return register_module(
        name,
        torch::nn::Linear(torch::nn::LinearOptions(width, options.projection_dim).bias(false)));
  };
  visual_projection_ = projection("visual_projection", options.vision.hidden_size);
  text_projection_ = projection("text_projection", options.text.hidden_size);
  register_parameter("logit_scale", at::zeros({}));
}

void ClipModelImpl::register_vision(const ClipVisionOptions& options, bool position_ids) {
  const auto vision = register_module("vision_model", group());
  const auto embeddings = vision->register_module("embeddings", std::make_shared<EmbeddingsImpl>());
  const std::int64_t width = options.hidden_size;
  const std::int64_t side = options.image_size / options.patch_size;
  class_embedding_ = embeddings->register_parameter("class_embedding", at::zeros({width}));
  patch_embedding_ = embeddings->register_module(
      "patch_embedding", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, width, options.patch_size)
                                               .stride(options.patch_size)
                                               .bias(false)));
  const auto positions =
      embeddings->register_module("position_embedding", std::make_shared<EmbeddingsImpl>());
  position_embedding_ =
      positions->register_parameter("weight", at::zeros({side * side + 1, width}));
  if (position_ids) {
    embeddings->register_buffer("position_ids",
                                at::arange(side * side + 1, at::kLong).unsqueeze(0));
  }
  pre_norm_ = vision->register_module("pre_layrnorm", layer_norm(options));  // so it is written
  for (std::int64_t i = 0; i < options.num_hidden_layers; ++i) {
    layers_.emplace_back(layer_options(options));
  }
  register_list(*vision->register_module("encoder", group()), "layers", layers_);
  post_norm_ = vision->register_module("post_layernorm", layer_norm(options));
}

at::Tensor ClipModelImpl::image_features(const at::Tensor& pixels) {
  const at::Tensor patches = patch_embedding_(pixels).flatten(2).transpose(1, 2);
  const at::Tensor front =
      class_embedding_.view({1, 1, -1}).expand({pixels.size(0), 1, patches.size(2)});
  at::Tensor states = pre_norm_(at::cat({front, patches}, 1) + position_embedding_);
  const at::Tensor all = at::ones({1, 1, states.size(1), states.size(1)},
                                  at::TensorOptions(at::kBool).device(states.device()));
  for (text_encoder::CLIPEncoderLayer& layer : layers_) states = layer(states, all);
  return visual_projection_(post_norm_(states.select(1, 0)));
}

at::Tensor ClipModelImpl::text_features(const at::Tensor& ids, const at::Tensor& mask) {
  const at::Tensor states = text_model_->forward(ids, mask.to(at::kBool));
  const at::Tensor last = mask.sum(1) - 1;
  return text_projection_(states.index({at::arange(ids.size(0), ids.options()), last}));
}

ClipModel load_clip_model(const fs::path& folder, at::Device device) {
  const WeightFiles weights(weights_file_in(folder));
  ClipModel model = load_module<ClipModel>(weights, {.device = device},
                                           read_options(folder / "config.json", weights));
  model->eval();
  return model;
}

at::Tensor clip_pixels(std::span<const at::Tensor> images, std::int64_t side) {
  std::vector<at::Tensor> cut;
  for (const at::Tensor& part : images) {
    for (const at::Tensor& one : part.unbind(0)) cut.push_back(cut_middle(one, side));
  }
  return (at::stack(cut).to(at::kFloat) / 255 - of_channels(kMean)) / of_channels(kStd);
}

Clip::Clip(const fs::path& folder, at::Device device)
    : device_(device),
      model_(load_clip_model(folder, device)),
      tokenizer_(text_encoder::load_tokenizer(folder)),
      sha256_(sha256_of_files(folder, WeightFiles(weights_file_in(folder)).paths())) {
  const std::int64_t room = model_->options().text.vocab_size;
  if (tokenizer_->vocab_size() <= room) return;
  throw DataError("{}: the tokenizer has {} tokens, the model {}", folder.string(),
                  tokenizer_->vocab_size(), room);
}

at::Tensor Clip::images(std::span<const at::Tensor> images) {
  const c10::NoGradGuard no_grad;
  const std::int64_t side = model_->options().vision.image_size;
  return model_->image_features(clip_pixels(images, side).to(device_));
}

at::Tensor Clip::texts(const std::vector<std::string>& texts) {
  const c10::NoGradGuard no_grad;
  const text_encoder::Tokens tokens =
      tokenizer_->tokenize(texts, model_->options().text.max_position_embeddings);
  const auto to_tensor = [&](const std::vector<std::int64_t>& values) {
    return at::tensor(values, at::kLong).view({tokens.count, tokens.length}).to(device_);
  };
  return model_->text_features(to_tensor(tokens.ids), to_tensor(tokens.mask));
}

}  // namespace crescendo::pipelines
