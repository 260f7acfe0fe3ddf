#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <c10/core/ScalarType.h>

#include "core/safetensors.h"
#include "pipelines/models/ldm_keys.h"

namespace crescendo::pipelines {

/// Bytes of a mapped file.
struct TensorPiece {
  std::shared_ptr<const SafetensorsFile> file;
  std::span<const std::byte> bytes;
};

/// A tensor to be written from the pages of mapped files.
struct TensorCopy {
  std::string name;
  std::string dtype;                ///< of the pieces, as safetensors names it
  Shape shape;                      ///< as written
  std::vector<TensorPiece> pieces;  ///< joined in this order
  bool transposed = false;          ///< the one piece is the matrix's transpose
};

/// Streams it as `dtype`, or unchanged where that is empty or the pieces hold no real numbers;
/// gives back the pages it has read. While it runs, throws UserError for a value that fp16 cannot
/// hold.
SafetensorsStream stream_of(TensorCopy copy, const std::string& dtype);

/// The type that a safetensors dtype names; Undefined where it is not of real numbers.
at::ScalarType real_type(const std::string& dtype);

/// The safetensors dtype of a save precision, float, fp16 or bf16; empty for none.
std::string dtype_of(const std::string& precision);

}  // namespace crescendo::pipelines
