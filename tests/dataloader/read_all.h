#pragma once

#include "dataloader/byte_source.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

/// What a source still holds, read `step` bytes at a time.
inline Bytes read_all(ByteSource& source, std::size_t step = 100) {
  Bytes all;
  Bytes chunk(step);
  while (const std::size_t count = source.read(chunk)) {
    all.insert(all.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return all;
}

}  // namespace crescendo::dataloader
