#include "core/lora.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/embedding.h>

#include "core/error.h"
#include "core/text.h"

namespace crescendo {

namespace {

bool is_named(std::string_view layer, std::string_view target) {
  if (layer == target) return true;
  return layer.ends_with(target) && layer[layer.size() - target.size() - 1] == '.';
}

/// "a.0.to_q" -> "to_q", "a.to_out.0" -> "to_out.0": how a target would name the layer.
std::string short_name(const std::string& layer) {
  std::size_t dot = layer.rfind('.');
  if (dot == std::string::npos) return layer;
  if (std::isdigit(static_cast<unsigned char>(layer.back())) != 0) dot = layer.rfind('.', dot - 1);
  return dot == std::string::npos ? layer : layer.substr(dot + 1);
}

/// The module at `path` below `root`, dots between names; what is missing is made.
torch::nn::Module& make_path(torch::nn::Module& root, const std::string& path) {
  torch::nn::Module* module = &root;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const std::string name = path.substr(begin, dot - begin);
    const auto children = module->named_children();
    const std::shared_ptr<torch::nn::Module>* known = children.find(name);
    module = known != nullptr
                 ? known->get()
                 : module->register_module(name, std::make_shared<torch::nn::Module>()).get();
    begin = dot + 1;
  }
  return *module;
}

}  // namespace

bool LoraLayer::fits(at::IntArrayRef shape) const {
  if (down.dim() < 2 || up.dim() < 2 || shape.size() < 2 || down.size(0) == 0) return false;
  std::int64_t in = 1;
  for (const std::int64_t size : shape.slice(1)) in *= size;
  return up.size(0) == shape[0] && up.numel() == up.size(0) * down.size(0) &&
         down.numel() == down.size(0) * in;
}

at::Tensor LoraLayer::change(at::IntArrayRef shape) const {
  const double scale = alpha / static_cast<double>(rank());
  return (at::mm(up.flatten(1), down.flatten(1)) * scale).view(shape);
}

TensorMap adaptable_weights(const torch::nn::Module& model) {
  constexpr bool kSelf = false;  // it may lie on the stack
  constexpr bool kRecurse = false;
  TensorMap weights;
  for (const auto& module : model.named_modules("", kSelf)) {
    if (module.value()->as<torch::nn::EmbeddingImpl>() != nullptr) continue;
    const auto parameters = module.value()->named_parameters(kRecurse);
    const at::Tensor* weight = parameters.find("weight");
    if (weight != nullptr && weight->dim() >= 2) weights.emplace(module.key(), *weight);
  }
  return weights;
}

TensorMap lora_targets(const torch::nn::Module& model, const LoraOptions& options) {
  if (options.target_modules.empty()) {
    throw UserError("lora.target_modules: expected the names of layers, found none");
  }
  const TensorMap weights = adaptable_weights(model);
  TensorMap targets;
  for (const std::string& target : options.target_modules) {
    bool found = false;
    for (const auto& [name, weight] : weights) {
      if (!is_named(name, target)) continue;
      found = true;
      targets.emplace(name, weight);
    }
    if (found) continue;
    std::set<std::string> names;
    for (const auto& [name, weight] : weights) names.insert(short_name(name));
    throw UserError(
        "lora.target_modules: no linear map or convolution of the model is called '{}'; {}", target,
        suggest_name(target, std::vector<std::string>(names.begin(), names.end())));
  }
  return targets;
}

void merge_lora(torch::nn::Module& model, const LoraLayers& layers, double scale) {
  const c10::NoGradGuard no_grad;
  TensorMap weights = adaptable_weights(model);
  for (const auto& [name, layer] : layers) {
    at::Tensor& weight = weights.at(name);
    const at::Tensor change = layer.change(weight.sizes()).to(weight.device(), at::kFloat);
    weight.copy_(weight.to(at::kFloat) + change * scale);
  }
}

LoraImpl::LoraImpl(const TensorMap& targets, const LoraOptions& options, std::uint64_t seed) {
  std::uint64_t position = 0;  // 0 is that of the weights of a whole model
  for (const auto& [name, weight] : targets) {
    std::vector<std::int64_t> down_shape = weight.sizes().vec();
    down_shape[0] = options.rank;
    std::vector<std::int64_t> up_shape(down_shape.size(), 1);
    up_shape[0] = weight.size(0);
    up_shape[1] = options.rank;
    const auto like = at::TensorOptions(weight.device()).dtype(at::kFloat);
    const at::Tensor down =
        random_normal(down_shape, seed, Purpose::kWeights, ++position) / options.rank;
    const auto add = [&, layer = name](const char* part, const at::Tensor& value) {
      return make_path(*this, layer + "." + part).register_parameter("weight", value);
    };
    layers_[name] = {.down = add("lora_A", down.to(like)),
                     .up = add("lora_B", at::zeros(up_shape, like)),
                     .alpha = options.alpha_or_rank()};
  }
}

AdaptedWeights::AdaptedWeights(TensorMap targets) : targets_(std::move(targets)) {
  for (auto& [name, weight] : targets_) {
    weight.set_requires_grad(false);
    bases_.emplace(name, weight.detach().clone());
  }
}

void AdaptedWeights::apply(const LoraLayers& layers) {
  for (auto& [name, weight] : targets_) {
    const at::Tensor& base = bases_.at(name);
    weight.detach_();
    // In place, because the layer has this tensor under several handles.
    weight.copy_(base + layers.at(name).change(base.sizes()));
  }
}

}  // namespace crescendo
