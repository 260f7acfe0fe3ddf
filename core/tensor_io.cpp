#include "core/tensor_io.h"

#include <algorithm>
#include <array>
#include <cstring>
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

at::ScalarType type_of(const SafetensorsEntry& entry, std::string_view where) {
  for (const auto& [name, type] : kDtypes) {
    if (name == entry.dtype) return type;
  }
  throw DataError("{}: tensor '{}': dtype {} is not supported", where, entry.name, entry.dtype);
}

}  // namespace

at::Tensor mapped_tensor(const WeightFiles::Tensor& stored) {
  const auto bytes = stored.bytes();
  const at::ScalarType dtype = type_of(*stored.entry, stored.file->path().string());
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

namespace {

/// Streams of contiguous CPU copies, which they keep.
std::vector<SafetensorsStream> streams_of(const TensorMap& tensors) {
  std::vector<SafetensorsStream> streams;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor copy = tensor.detach().cpu().contiguous();
    streams.push_back(
        {.name = name,
         .dtype = std::string(name_of(copy.scalar_type())),
         .shape = copy.sizes().vec(),
         .produce = [copy](const ByteSink& sink) {
           sink({static_cast<const std::byte*>(copy.const_data_ptr()), copy.nbytes()});
         }});
  }
  return streams;
}

}  // namespace

TensorMap parse_tensors(std::span<const std::byte> file, std::string_view where) {
  const SafetensorsHeader header = parse_safetensors(file, where);
  TensorMap tensors;
  for (const SafetensorsEntry& entry : header.entries) {
    at::Tensor tensor = at::empty(entry.shape, type_of(entry, where));
    const auto bytes = file.subspan(header.data_offset + entry.begin, entry.end - entry.begin);
    if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
    tensors.emplace(entry.name, std::move(tensor));
  }
  return tensors;
}

std::string serialize_tensors(const TensorMap& tensors) {
  std::string bytes;
  serialize_safetensors(streams_of(tensors), {}, "tensors", [&](std::span<const std::byte> part) {
    bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return bytes;
}

void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata) {
  write_safetensors_streams(path, streams_of(tensors), metadata);
}

at::Tensor random_normal(at::IntArrayRef shape, std::uint64_t seed, Purpose purpose,
                         std::uint64_t position) {
  at::Tensor noise = at::empty(shape, at::kFloat);
  RandomStream(seed, purpose, position)
      .fill_normal({noise.data_ptr<float>(), static_cast<std::size_t>(noise.numel())});
  return noise;
}

}  // namespace crescendo
