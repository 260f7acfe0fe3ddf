#include "text_encoder/text_encoder.h"

#include <array>
#include <string_view>
#include <utility>

#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/fields.h"
#include "text_encoder/bert.h"
#include "text_encoder/clip.h"
#include "text_encoder/t5.h"

namespace crescendo::text_encoder {

namespace {

struct Architecture {
  std::string_view model_type;  ///< as config.json names it
  std::shared_ptr<TextModel> (*load)(const std::filesystem::path& folder,
                                     const Placement& placement);
};

constexpr std::array kArchitectures = {
    Architecture{"bert",
                 [](const std::filesystem::path& folder, const Placement& placement)
                     -> std::shared_ptr<TextModel> { return load_bert(folder, placement).ptr(); }},
    Architecture{"clip_text_model",
                 [](const std::filesystem::path& folder,
                    const Placement& placement) -> std::shared_ptr<TextModel> {
                   return load_clip_text_model(folder, placement).ptr();
                 }},
    Architecture{"t5",
                 [](const std::filesystem::path& folder, const Placement& placement)
                     -> std::shared_ptr<TextModel> { return load_t5(folder, placement).ptr(); }},
};

std::shared_ptr<TextModel> load_model(const std::filesystem::path& folder,
                                      const Placement& placement) {
  const std::filesystem::path file = folder / "config.json";
  const nlohmann::json config = read_json_file(file);
  const nlohmann::json type =
      config.is_object() ? config.value("model_type", nlohmann::json()) : nlohmann::json();
  std::vector<std::string_view> supported;
  for (const Architecture& architecture : kArchitectures) {
    if (type == architecture.model_type) return architecture.load(folder, placement);
    supported.push_back(architecture.model_type);
  }
  throw UserError("{}: model_type: not a supported text encoder; expected one of {}, found {}",
                  file.string(), fmt::join(supported, ", "), type.dump());
}

at::Tensor to_tensor(const std::vector<std::int64_t>& values, const Tokens& tokens) {
  // from_blob takes no const pointer; clone() reads only.
  return at::from_blob(const_cast<std::int64_t*>(values.data()), {tokens.count, tokens.length},
                       at::kLong)
      .clone();
}

}  // namespace

TextEncoder::TextEncoder(std::unique_ptr<Tokenizer> tokenizer, std::shared_ptr<TextModel> model,
                         std::int64_t max_length)
    : tokenizer_(std::move(tokenizer)), model_(std::move(model)), max_length_(max_length) {
  if (max_length < 1 || max_length > model_->max_positions()) {
    throw UserError(
        "text_encoder.max_length: expected 1 to {} tokens, as many as the model has "
        "positions for, found {}",
        model_->max_positions(), max_length);
  }
  if (tokenizer_->vocab_size() > model_->vocab_size()) {
    throw UserError(
        "text_encoder: the tokenizer is not the model's; expected at most {} tokens in its "
        "vocabulary, found {}",
        model_->vocab_size(), tokenizer_->vocab_size());
  }
  model_->eval();
  for (at::Tensor& parameter : model_->parameters()) parameter.set_requires_grad(false);
}

TextEmbedding TextEncoder::encode(std::span<const std::string> prompts) {
  return encode(tokenizer_->tokenize(prompts, max_length_));
}

TextEmbedding TextEncoder::encode(const Tokens& tokens) {
  const c10::NoGradGuard no_grad;
  const at::Device device = model_->parameters().front().device();
  const at::Tensor ids = to_tensor(tokens.ids, tokens).to(device);
  const at::Tensor mask = to_tensor(tokens.mask, tokens).to(device, at::kBool);
  return {model_->forward(ids, mask).to(at::kFloat), mask, tokens.truncated};
}

void TextEncoder::to(at::Device device) { model_->to(device); }

std::unique_ptr<TextEncoder> load_text_encoder(const std::filesystem::path& folder,
                                               const std::filesystem::path& tokenizer_folder,
                                               std::int64_t max_length,
                                               const Placement& placement) {
  const bool apart = !tokenizer_folder.empty() && std::filesystem::is_directory(tokenizer_folder);
  auto tokenizer = load_tokenizer(apart ? tokenizer_folder : folder);
  return std::make_unique<TextEncoder>(std::move(tokenizer), load_model(folder, placement),
                                       max_length);
}

}  // namespace crescendo::text_encoder
