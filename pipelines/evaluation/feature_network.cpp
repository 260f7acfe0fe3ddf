#include "pipelines/evaluation/feature_network.h"

#include <unordered_map>
#include <utility>
#include <vector>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "core/error.h"
#include "pipelines/evaluation/clip_model.h"
#include "pipelines/evaluation/inception.h"
#include "pipelines/evaluation/sha256.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

class InceptionNetwork : public FeatureNetwork {
 public:
  InceptionNetwork(const fs::path& file, FeatureResize resize, at::Device where)
      : FeatureNetwork({"inception-v3", sha256_of_file(file), std::string(name_of(resize))}, where),
        inception_(load_inception(file, where)),
        resize_(resize) {}

  ImageFeatures extract(std::span<const at::Tensor> images) override {
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& part : images)
      inputs.push_back(inception_input(part.to(device()), resize_));
    if (resize_ != FeatureResize::kNone) inputs = {at::cat(inputs)};
    std::vector<at::Tensor> pools;
    std::vector<at::Tensor> logits;
    for (const at::Tensor& input : inputs) {
      const InceptionFeatures seen = inception_->forward(input);
      pools.push_back(seen.pool);
      logits.push_back(seen.logits);
    }
    return {at::cat(pools), at::cat(logits)};
  }

 private:
  Inception inception_;
  FeatureResize resize_;
};

/// LibTorch's messages end in a backtrace.
std::string first_lines(const std::exception& failure) {
  const std::string text = failure.what();
  return text.substr(0, text.find("\nException raised from"));
}

torch::jit::Module load_script(const fs::path& file, at::Device device) {
  try {
    torch::jit::Module module = torch::jit::load(file.string(), device);
    module.eval();
    return module;
  } catch (const std::exception& failure) {
    throw DataError(
        "{}: expected the Inception-v3 of FID as .safetensors, or a TorchScript module, found "
        "neither ({}). Weights that torch.save wrote become .safetensors by `crescendo convert`",
        file.string(), first_lines(failure).substr(0, 200));
  }
}

class ScriptNetwork : public FeatureNetwork {
 public:
  ScriptNetwork(const fs::path& file, at::Device where)
      : FeatureNetwork({"torchscript", sha256_of_file(file), "none"}, where),
        file_(file.string()),
        module_(load_script(file, where)) {
    constexpr const char* kReturnFeatures = "return_features";
    if (module_.get_method("forward").function().getSchema().argumentIndexWithName(
            kReturnFeatures)) {
      arguments_.emplace(kReturnFeatures, true);
    }
  }

  ImageFeatures extract(std::span<const at::Tensor> images) override {
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> values;
    std::vector<at::Tensor> logits;
    for (const at::Tensor& part : images) {
      const c10::IValue found = run(part);
      values.push_back(found.isTensor() ? found.toTensor() : element(found, 0));
      if (!found.isTensor()) logits.push_back(element(found, 1));
      if (values.back().dim() != 2 || values.back().size(0) != part.size(0)) {
        throw UserError("{}: expected features [{}, D] of {} images, found [{}]", file_,
                        part.size(0), part.size(0), fmt::join(values.back().sizes(), ", "));
      }
    }
    return {at::cat(values).to(at::kFloat),
            logits.empty() ? at::Tensor() : at::cat(logits).to(at::kFloat)};
  }

 private:
  c10::IValue run(const at::Tensor& images) {
    try {
      return module_.forward({images.to(device())}, arguments_);
    } catch (const std::exception& failure) {
      throw UserError(
          "{}: expected a network of uint8 images [N,3,H,W]; it cannot take [{}] of them: {}",
          file_, fmt::join(images.sizes(), ", "), first_lines(failure));
    }
  }

  at::Tensor element(const c10::IValue& found, std::size_t i) const {
    if (found.isTuple() && found.toTupleRef().elements().size() > i) {
      const c10::IValue& value = found.toTupleRef().elements()[i];
      if (value.isTensor()) return value.toTensor();
    }
    throw UserError("{}: expected features [N,D], or (features, logits), found {}", file_,
                    found.tagKind());
  }

  std::string file_;
  torch::jit::Module module_;
  std::unordered_map<std::string, c10::IValue> arguments_;
};

class ClipNetwork : public FeatureNetwork {
 public:
  ClipNetwork(Clip clip, at::Device where)
      : FeatureNetwork({"clip", clip.sha256(), "none"}, where), clip_(std::move(clip)) {}

  ImageFeatures extract(std::span<const at::Tensor> images) override {
    return {clip_.images(images)};
  }

 private:
  Clip clip_;
};

/// The networks that bring images to their size themselves get no other resize.
void require_none(std::optional<FeatureResize> resize, const fs::path& file) {
  if (!resize || *resize == FeatureResize::kNone) return;
  throw UserError(
      "--resize: {} gets the images as they are, because only it knows its size; expected none, "
      "found {}",
      file.string(), name_of(*resize));
}

}  // namespace

std::unique_ptr<FeatureNetwork> open_feature_network(const fs::path& file,
                                                     std::optional<FeatureResize> resize,
                                                     at::Device device) {
  if (file.empty() || !fs::exists(file)) {
    throw UserError(
        "--features: expected the file of a network (the Inception-v3 of FID as .safetensors, or "
        "TorchScript) or the folder of a CLIP model, found {}; docs/evaluation.md tells where they "
        "come from",
        file.empty() ? "none" : "nothing at " + file.string());
  }
  if (file.extension() == ".safetensors") {
    return std::make_unique<InceptionNetwork>(file, resize.value_or(FeatureResize::kClean), device);
  }
  require_none(resize, file);
  if (fs::is_directory(file)) return std::make_unique<ClipNetwork>(Clip(file, device), device);
  return std::make_unique<ScriptNetwork>(file, device);
}

}  // namespace crescendo::pipelines
