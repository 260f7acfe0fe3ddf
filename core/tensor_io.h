#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "core/random.h"
#include "core/safetensors.h"

namespace crescendo {

using TensorMap = std::map<std::string, at::Tensor>;

/// Every tensor of a safetensors file, as CPU tensors of the file's dtypes. Throws DataError.
TensorMap load_tensors(const std::filesystem::path& path);

/// Writes contiguous CPU copies, atomically.
void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata = {});

/// Standard normal noise [shape], float32 on the CPU, of the stream (seed, purpose, position).
at::Tensor random_normal(at::IntArrayRef shape, std::uint64_t seed, Purpose purpose,
                         std::uint64_t position);

}  // namespace crescendo
