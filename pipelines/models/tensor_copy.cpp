#include "pipelines/models/tensor_copy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <torch/types.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kBytesAtATime = std::size_t{1} << 23;
constexpr std::array<std::pair<const char*, at::ScalarType>, 4> kReal{
    {{"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}}};

void convert(std::span<const std::byte> bytes, at::ScalarType from, at::ScalarType to,
             const std::string& name, const ByteSink& sink) {
  at::Tensor values =
      at::empty({static_cast<std::int64_t>(bytes.size() / c10::elementSize(from))}, from);
  std::memcpy(values.data_ptr(), bytes.data(), bytes.size());  // the file may not align them
  const at::Tensor converted = values.to(to);
  if (to == at::kHalf && (at::isinf(converted) & ~at::isinf(values)).any().item<bool>()) {
    throw UserError("{}: holds values that fp16 cannot; the largest is 65504. Use bf16", name);
  }
  sink({static_cast<const std::byte*>(converted.const_data_ptr()), converted.nbytes()});
}

/// The bytes of a [columns, rows] matrix as those of its transpose, [rows, columns].
std::vector<std::byte> transpose(std::span<const std::byte> bytes, const Shape& shape) {
  const auto rows = static_cast<std::size_t>(shape.at(0));
  const auto columns = static_cast<std::size_t>(shape.at(1));
  const std::size_t width = bytes.size() / std::max<std::size_t>(rows * columns, 1);
  std::vector<std::byte> turned(bytes.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      std::memcpy(&turned[(row * columns + column) * width], &bytes[(column * rows + row) * width],
                  width);
    }
  }
  return turned;
}

}  // namespace

at::ScalarType real_type(const std::string& dtype) {
  const auto* found =
      std::ranges::find(kReal, dtype, &std::pair<const char*, at::ScalarType>::first);
  return found == kReal.end() ? at::ScalarType::Undefined : found->second;
}

SafetensorsStream stream_of(TensorCopy copy, const std::string& dtype) {
  const at::ScalarType from = real_type(copy.dtype);
  const bool kept = from == at::ScalarType::Undefined || dtype.empty() || dtype == copy.dtype;
  SafetensorsStream stream{
      .name = copy.name, .dtype = kept ? copy.dtype : dtype, .shape = copy.shape, .produce = {}};
  stream.produce = [copy = std::move(copy), kept, from,
                    to = real_type(dtype)](const ByteSink& sink) {
    for (const TensorPiece& piece : copy.pieces) {
      std::vector<std::byte> turned;
      if (copy.transposed) turned = transpose(piece.bytes, copy.shape);
      std::span<const std::byte> left = copy.transposed ? turned : piece.bytes;
      while (!left.empty()) {
        const std::span<const std::byte> part = left.first(std::min(left.size(), kBytesAtATime));
        kept ? sink(part) : convert(part, from, to, copy.name, sink);
        if (!copy.transposed) piece.file->release(part);
        left = left.subspan(part.size());
      }
    }
  };
  return stream;
}

std::string dtype_of(const std::string& precision) {
  if (precision.empty()) return "";
  if (precision == "fp16") return "F16";
  return precision == "bf16" ? "BF16" : "F32";
}

}  // namespace crescendo::pipelines
