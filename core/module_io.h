#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <torch/nn/module.h>

#include "core/skip_init.h"
#include "core/tensor_io.h"

namespace crescendo {

// Weights of a module under the names of its parameters and buffers, which are the names of the
// reference implementation's state dict: there is no table of renamings.

/// Every parameter and buffer of `module` by name (views, not copies).
TensorMap state_of(const torch::nn::Module& module);

/// Where a model's weights go and as what.
struct Placement {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  ///< of what is floating-point

  /// Where a weight on the CPU has its dtype in the file already, use the mapped file itself: it
  /// costs no time and is read when needed, but the file must not be changed in place meanwhile.
  bool mapped = false;
};

/// Fills every parameter and buffer from weights, one after the other, straight to their place:
/// there is never a second copy of them all. Missing, left-over and wrongly shaped tensors are all
/// listed (first ten) in one DataError before anything is read. `current_name` translates names
/// that older versions of the reference wrote.
void load_weights(
    torch::nn::Module& module, const WeightFiles& files, const Placement& placement,
    const std::function<std::string(const std::string& stored)>& current_name = nullptr);

/// As above, from a safetensors file or index, to where the module is.
void load_weights(torch::nn::Module& module, const std::filesystem::path& path);

/// A model (a module holder) made of `arguments`, with weights from `files`.
template <typename Model, typename... Arguments>
Model load_module(const WeightFiles& files, const Placement& placement, Arguments&&... arguments) {
  Model model = [&] {
    const SkipInit skip_init;
    return Model(std::forward<Arguments>(arguments)...);
  }();
  load_weights(*model, files, placement);
  return model;
}

/// Saves every parameter and buffer as `dtype`, with the metadata {"format": "pt"} that the
/// reference loaders require.
void save_weights(const torch::nn::Module& module, const std::filesystem::path& file,
                  at::ScalarType dtype = at::kFloat);

}  // namespace crescendo
