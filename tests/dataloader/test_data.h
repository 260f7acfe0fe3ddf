#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataloader/image.h"
#include "dataloader/sample_error.h"

namespace crescendo::dataloader {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text);
std::string text_of(std::span<const std::byte> bytes);

/// A file of tests/dataloader/data.
Bytes read_data(const std::string& name);

/// What Pillow makes of the image `name`: its `.expected.png`.
Image expected_image(const std::string& name);

void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// The largest difference of two images' channels; 256 when their sizes differ.
int largest_difference(const Image& left, const Image& right);

/// "cause: detail" of the SampleError that `action` throws, or "" when it throws none.
template <typename Action>
std::string sample_error_text(Action&& action) {
  try {
    action();
  } catch (const SampleError& failure) {
    return failure.what();
  }
  return "";
}

}  // namespace crescendo::dataloader
