#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace crescendo::pipelines {

struct PackRequest {
  std::filesystem::path source;  ///< a captioned folder
  std::filesystem::path output;  ///< where the shards go
  std::string caption_extension = ".txt";
  std::int64_t max_samples = 10'000;       ///< a shard
  std::int64_t max_bytes = 1'000'000'000;  ///< a shard, about
  std::int64_t seed = 0;                   ///< of the order of the samples
};

struct PackResult {
  std::vector<std::filesystem::path> shards;
  std::vector<std::string> class_names;  ///< the folder's top sub-folders
  std::uint64_t samples = 0;
};

/// Packs a folder of images, with captions in files beside them and the top sub-folder as class,
/// into WebDataset shards: KEY.jpg|png|webp (the bytes as they are), KEY.txt, KEY.cls. Samples are
/// put in a random order, a function of the seed, because neighbours in a folder are alike. The
/// names of the classes go to classes.txt. What is left out is counted and named in the log. Throws
/// UserError.
PackResult pack(const PackRequest& request);

}  // namespace crescendo::pipelines
