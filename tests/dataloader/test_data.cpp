#include "tests/dataloader/test_data.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"

namespace crescendo::dataloader {

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Bytes read_data(const std::string& name) {
  return bytes_of(
      read_file(std::filesystem::path(CRESCENDO_SOURCE_DIR) / "tests/dataloader/data" / name));
}

Image expected_image(const std::string& name) {
  return decode_image(read_data(name + ".expected.png"));
}

void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw UserError("{}: cannot write", path.string());
}

int largest_difference(const Image& left, const Image& right) {
  if (left.width != right.width || left.height != right.height) return 256;
  int largest = 0;
  for (std::size_t i = 0; i < left.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(int{left.pixels[i]} - int{right.pixels[i]}));
  }
  return largest;
}

}  // namespace crescendo::dataloader
