#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"

namespace crescendo {

// The safetensors format, https://github.com/huggingface/safetensors: 8 bytes of header length N
// (little-endian), N bytes of JSON, then the tensors' bytes. Torch-free: core/tensor_io.h has the
// tensors.

/// What the header says of one tensor. Offsets are relative to the first byte after the header.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< the format's name: "F32", "F16", "BF16", "I64", "U8", "BOOL", ...
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;        ///< in the order of their bytes
  std::map<std::string, std::string> metadata;  ///< `__metadata__`
  std::uint64_t data_offset = 0;                ///< of the first tensor byte in the file
};

/// Bytes an element of `dtype` takes; 0 for a name that the format does not have.
std::size_t safetensors_element_size(std::string_view dtype);

/// Reads and checks a header as the reference reader does: length (at most 100 MB), UTF-8 JSON,
/// known dtypes, offsets in range, without overlap or hole, shape x dtype = bytes, no byte left
/// over. `where` names the file in errors. Throws DataError.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file, std::string_view where);

/// A safetensors file mapped into memory; tensors are views of its pages.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const;
  void release(const SafetensorsEntry& entry) const;  ///< see MappedFile::release
  void release(std::span<const std::byte> part) const { file_.release(part); }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

/// A tensor to be written; `bytes` must hold shape x dtype bytes in C order.
struct SafetensorsItem {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Takes the next bytes of a tensor.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// A tensor whose bytes are made while they are written, so that a large file need not be in
/// memory.
struct SafetensorsStream {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::function<void(const ByteSink&)> produce;  ///< hands over shape x dtype bytes in C order
};

/// Writes atomically, in the reference's order (wider dtypes first, then names), header padded
/// to 8.
void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsItem> items,
                       const std::map<std::string, std::string>& metadata = {});

/// What such a file holds, handed to `sink` piece by piece. `where` names it in errors.
void serialize_safetensors(std::vector<SafetensorsStream> streams,
                           const std::map<std::string, std::string>& metadata,
                           std::string_view where, const ByteSink& sink);

/// The same of streams, one after the other.
void write_safetensors_streams(const std::filesystem::path& path,
                               std::vector<SafetensorsStream> streams,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace crescendo
