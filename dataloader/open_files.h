#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "dataloader/plain_file.h"

namespace crescendo::dataloader {

/// Files that are read again and again, of which so many stay open: of those whose numbers are
/// equal modulo that many, the last one. Safe to use from several threads at once.
class OpenFiles {
 public:
  explicit OpenFiles(std::size_t most) : slots_(most) {}

  /// File `number`, always of the same path. Throws as PlainFile's constructor.
  std::shared_ptr<const PlainFile> get(std::uint64_t number, const std::filesystem::path& path);

 private:
  struct Slot {
    std::uint64_t number = 0;
    std::shared_ptr<const PlainFile> file;
  };

  std::mutex mutex_;
  std::vector<Slot> slots_;
};

}  // namespace crescendo::dataloader
