#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace crescendo::pipelines {

struct PackRequest {
  std::vector<std::string> sources;        ///< a folder of images, or tars as expand_shards() takes
  std::filesystem::path output;            ///< where the shards go
  std::string caption_extension = ".txt";  ///< of caption files beside images
  std::string caption_column{};            ///< of metadata files; "": text, or else caption
  std::int64_t max_samples = 10'000;       ///< a shard
  std::int64_t max_bytes = 1'000'000'000;  ///< a shard, about
  std::int64_t seed = 0;                   ///< of the order of the samples
  std::int64_t shuffle_buffer = 10'000;    ///< samples, of tars that are compressed or piped
  std::int64_t resize = 0;                 ///< short side, pixels; 0: images stay as they are
  bool verify = false;                     ///< leave out images that cannot be decoded
  bool resume = false;                     ///< go on with an interrupted pack
};

struct PackResult {
  std::vector<std::filesystem::path> shards;
  std::vector<std::string> class_names;  ///< in the order of their numbers
  std::uint64_t samples = 0;
  std::map<std::string, std::uint64_t> left_out;  ///< by cause
};

/// Packs a folder of images or existing tars into shards that webdataset reads, each with its
/// index. Samples come in a random order, a function of source and seed. Images keep their bytes
/// unless they are resized. The names of classes go to classes.txt; what is left out is counted and
/// named in the log. pack.json tells what was packed, and which shards are complete: with it an
/// interrupted pack goes on, to the same bytes as an uninterrupted one. Throws UserError.
PackResult pack(const PackRequest& request);

}  // namespace crescendo::pipelines
