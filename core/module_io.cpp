#include "core/module_io.h"

#include <vector>

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/text.h"

namespace crescendo {

namespace {

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
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

namespace {

/// The weights under their current names.
using Stored = std::map<std::string, WeightFiles::Tensor>;

Stored stored_in(const WeightFiles& files,
                 const std::function<std::string(const std::string&)>& current_name) {
  if (!current_name) return files.tensors();
  Stored stored;
  for (const auto& [name, tensor] : files.tensors()) stored.emplace(current_name(name), tensor);
  return stored;
}

/// Throws DataError unless the two have the same names and shapes.
void check_fit(const TensorMap& state, const Stored& stored, const std::filesystem::path& path) {
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  std::vector<std::string> left_over;
  for (const auto& [name, target] : state) {
    const auto found = stored.find(name);
    if (found == stored.end()) {
      missing.push_back(name);
    } else if (target.sizes() != found->second.entry->shape) {
      misshapen.push_back(fmt::format("{}: expected {}, found {}", name, shape_text(target.sizes()),
                                      shape_text(found->second.entry->shape)));
    }
  }
  for (const auto& [name, tensor] : stored) {
    if (!state.contains(name)) left_over.push_back(name);
  }
  if (missing.empty() && misshapen.empty() && left_over.empty()) return;
  std::string message = path.string() + ": the weights do not fit the configuration beside them";
  append_some(message, "missing", missing);
  append_some(message, "of another shape", misshapen);
  append_some(message, "that the model does not have", left_over);
  throw DataError(message);
}

/// Copies `source`, and lets go of the file's pages.
void fill(at::Tensor& target, const WeightFiles::Tensor& source) {
  target.copy_(mapped_tensor(source));
  source.release();
}

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % tensor.element_size() == 0;
}

/// Makes `target` what the placement says, with the values of `source`.
void place(at::Tensor& target, const WeightFiles::Tensor& source, const Placement& placement) {
  const at::ScalarType dtype = target.is_floating_point() ? placement.dtype : target.scalar_type();
  if (placement.mapped && placement.device.is_cpu()) {
    const at::Tensor mapped = mapped_tensor(source);
    if (mapped.scalar_type() == dtype && is_aligned(mapped)) return target.set_data(mapped);
  }
  if (target.device() != placement.device || target.scalar_type() != dtype) {
    target.set_data(at::empty(target.sizes(), at::TensorOptions(placement.device).dtype(dtype)));
  }
  fill(target, source);
}

}  // namespace

void load_weights(torch::nn::Module& module, const WeightFiles& files, const Placement& placement,
                  const std::function<std::string(const std::string&)>& current_name) {
  const Stored stored = stored_in(files, current_name);
  TensorMap state = state_of(module);
  check_fit(state, stored, files.path());
  const c10::NoGradGuard no_grad;
  for (auto& [name, target] : state) place(target, stored.at(name), placement);
}

void load_weights(torch::nn::Module& module, const std::filesystem::path& path) {
  const WeightFiles files(path);
  TensorMap state = state_of(module);
  check_fit(state, files.tensors(), path);
  const c10::NoGradGuard no_grad;
  for (auto& [name, target] : state) fill(target, files.tensors().at(name));
}

void save_weights(const torch::nn::Module& module, const std::filesystem::path& file,
                  at::ScalarType dtype) {
  TensorMap state = state_of(module);
  for (auto& [name, tensor] : state) {
    if (tensor.is_floating_point()) tensor = tensor.detach().to(dtype);
  }
  save_tensors(file, state, {{"format", "pt"}});
}

}  // namespace crescendo
