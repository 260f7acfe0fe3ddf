#include "core/tensor_io.h"

#include <algorithm>
#include <array>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "core/error.h"

namespace crescendo {

namespace {

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 14> kDtypes = {{
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
    {"U16", at::kUInt16},
    {"U32", at::kUInt32},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3", at::kFloat8_e4m3fn},
}};

std::string_view name_of(at::ScalarType dtype) {
  for (const auto& [name, type] : kDtypes) {
    if (type == dtype) return name;
  }
  throw Error(std::string("safetensors has no dtype for ") + c10::toString(dtype));
}

at::ScalarType type_of(const SafetensorsEntry& entry, const std::filesystem::path& path) {
  for (const auto& [name, type] : kDtypes) {
    if (name == entry.dtype) return type;
  }
  throw DataError("{}: tensor '{}': dtype {} is not supported", path.string(), entry.name,
                  entry.dtype);
}

}  // namespace

at::Tensor mapped_tensor(const WeightFiles::Tensor& stored) {
  const auto bytes = stored.bytes();
  const at::ScalarType dtype = type_of(*stored.entry, stored.file->path());
  if (bytes.empty()) return at::empty(stored.entry->shape, dtype);
  const auto close = [file = stored.file](void* /*bytes*/) {};
  // from_blob takes no const pointer.
  return at::from_blob(const_cast<std::byte*>(bytes.data()), stored.entry->shape, close, dtype);
}

TensorMap load_tensors(const std::filesystem::path& path) {
  const WeightFiles files(path);
  TensorMap tensors;
  for (const auto& [name, stored] : files.tensors()) {
    tensors.emplace(name, mapped_tensor(stored).clone());
    stored.release();
  }
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;  // the bytes that the items point at
  std::vector<SafetensorsItem> items;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().cpu().contiguous());
    const at::Tensor& copy = kept.back();
    items.push_back({.name = name,
                     .dtype = std::string(name_of(copy.scalar_type())),
                     .shape = copy.sizes().vec(),
                     .bytes = {static_cast<const std::byte*>(copy.data_ptr()), copy.nbytes()}});
  }
  write_safetensors(path, std::move(items), metadata);
}

at::Tensor random_normal(at::IntArrayRef shape, std::uint64_t seed, Purpose purpose,
                         std::uint64_t position) {
  at::Tensor noise = at::empty(shape, at::kFloat);
  RandomStream(seed, purpose, position)
      .fill_normal({noise.data_ptr<float>(), static_cast<std::size_t>(noise.numel())});
  return noise;
}

}  // namespace crescendo
