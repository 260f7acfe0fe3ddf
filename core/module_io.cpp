#include "core/module_io.h"

#include <vector>

#include <c10/core/GradMode.h>

#include "core/error.h"

namespace crescendo {

namespace {

constexpr std::size_t kListed = 10;

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void append_some(std::string& message, std::string_view title,
                 const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  message += fmt::format("\n  {} {}:", lines.size(), title);
  for (std::size_t i = 0; i < lines.size() && i < kListed; ++i) message += "\n    " + lines[i];
  if (lines.size() > kListed)
    message += fmt::format("\n    ... and {} more", lines.size() - kListed);
}

}  // namespace

TensorMap state_of(const torch::nn::Module& module) {
  TensorMap state;
  for (const auto& parameter : module.named_parameters()) {
    state.emplace(parameter.key(), parameter.value());
  }
  for (const auto& buffer : module.named_buffers()) state.emplace(buffer.key(), buffer.value());
  return state;
}

void load_weights(torch::nn::Module& module, const std::filesystem::path& file) {
  const TensorMap stored = load_tensors(file);
  TensorMap state = state_of(module);
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  std::vector<std::string> left_over;
  for (const auto& [name, target] : state) {
    const auto found = stored.find(name);
    if (found == stored.end()) {
      missing.push_back(name);
    } else if (found->second.sizes() != target.sizes()) {
      misshapen.push_back(fmt::format("{}: expected {}, found {}", name, shape_text(target.sizes()),
                                      shape_text(found->second.sizes())));
    }
  }
  for (const auto& [name, tensor] : stored) {
    if (!state.contains(name)) left_over.push_back(name);
  }
  if (!missing.empty() || !misshapen.empty() || !left_over.empty()) {
    std::string message = file.string() + ": the weights do not fit the configuration beside them";
    append_some(message, "missing", missing);
    append_some(message, "of another shape", misshapen);
    append_some(message, "that the model does not have", left_over);
    throw DataError(message);
  }
  const c10::NoGradGuard no_grad;
  for (auto& [name, target] : state) target.copy_(stored.at(name));
}

void save_weights(const torch::nn::Module& module, const std::filesystem::path& file,
                  at::ScalarType dtype) {
  TensorMap state = state_of(module);
  for (auto& [name, tensor] : state) {
    if (tensor.is_floating_point()) tensor = tensor.detach().to(dtype);
  }
  save_tensors(file, state, {{"format", "pt"}});
}

std::filesystem::path weights_file_in(const std::filesystem::path& folder) {
  for (const char* name : {"diffusion_pytorch_model.safetensors", "model.safetensors"}) {
    if (std::filesystem::exists(folder / name)) return folder / name;
  }
  for (const char* name : {"diffusion_pytorch_model.bin", "pytorch_model.bin"}) {
    if (std::filesystem::exists(folder / name)) {
      throw UserError(
          "{}: refused: a pickle can run code when it is opened; expected safetensors. Convert it "
          "with save_pretrained(..., safe_serialization=True) of the Python library that made it",
          (folder / name).string());
    }
  }
  throw UserError(
      "{}: no weights; expected diffusion_pytorch_model.safetensors or model.safetensors",
      folder.string());
}

}  // namespace crescendo
