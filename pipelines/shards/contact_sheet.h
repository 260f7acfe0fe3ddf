#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "dataloader/image.h"

namespace crescendo::pipelines {

/// Thumbnails of a few of many images: those whose keys have the lowest hashes, so that the choice
/// does not depend on the order, nor on how samples are spread over shards.
class ContactSheet {
 public:
  /// `bytes` that cannot be decoded are passed over.
  void add(const std::string& key, std::span<const std::byte> bytes);

  /// Writes them as a grid in a PNG. Throws UserError when there are none, or as write_png() does.
  void write(const std::filesystem::path& path) const;

 private:
  std::map<std::uint64_t, dataloader::Image> thumbnails_;  ///< by the hash of the key
};

}  // namespace crescendo::pipelines
