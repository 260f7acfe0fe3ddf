#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include <ATen/core/Tensor.h>

#include "core/random.h"
#include "core/weight_files.h"

namespace crescendo {

using TensorMap = std::map<std::string, at::Tensor>;

/// A tensor of the file's dtype over its mapped bytes, which it keeps mapped. Throws DataError for
/// a dtype that LibTorch does not have.
at::Tensor mapped_tensor(const WeightFiles::Tensor& stored);

/// Every tensor of a safetensors file or index, as CPU tensors of the file's dtypes. Throws
/// UserError or DataError.
TensorMap load_tensors(const std::filesystem::path& path);

/// Copies of the tensors in the bytes of a safetensors file. Throws DataError naming `where`.
TensorMap parse_tensors(std::span<const std::byte> file, std::string_view where);

/// The bytes of a safetensors file.
std::string serialize_tensors(const TensorMap& tensors);

/// Writes contiguous CPU copies, atomically.
void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata = {});

/// Standard normal noise [shape], float32 on the CPU, of the stream (seed, purpose, position).
at::Tensor random_normal(at::IntArrayRef shape, std::uint64_t seed, Purpose purpose,
                         std::uint64_t position);

}  // namespace crescendo
