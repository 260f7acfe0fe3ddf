#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataloader/image.h"

namespace crescendo::pipelines {

/// One image to compare.
struct SourceImage {
  std::string name;  ///< its file, or its shard and key
  dataloader::Image image;
  std::string caption{};  ///< "" where it has none
  std::string label{};    ///< number or name of its class; "" where it has none
};

/// Images one after the other.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  /// The next one that can be read; nothing at the end.
  virtual std::optional<SourceImage> next() = 0;

  /// About how many there are; 0: not known.
  virtual std::uint64_t size() const = 0;

  /// Those that could not be read so far; each was named in the log (the first 20).
  virtual std::uint64_t skipped() const { return 0; }
};

/// What `path` names: a folder with shards (*.tar, *.tar.gz, *.tgz) in it, or another folder of
/// images, or shards as data.shards names them. Decoded on some threads. No more than `most`
/// (0: all): of a folder a random part, by `seed`; of shards the first. Throws UserError, naming
/// `where`, for what is not there.
std::unique_ptr<ImageSource> open_images(const std::string& path, std::uint64_t most,
                                         std::uint64_t seed, const std::string& where);

}  // namespace crescendo::pipelines
