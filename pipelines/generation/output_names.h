#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace crescendo::pipelines {

/// What the name of a picture's file may tell.
struct PictureName {
  std::string subject;  ///< prompt or class
  std::uint64_t seed = 0;
};

/// Where the pictures of a call go.
struct OutputNames {
  bool is_grid = false;  ///< all in one file
  std::vector<std::filesystem::path> files;
};

/// From what the user gave:
/// - a picture's name with %d (%03d: with zeros; the number of the picture, from 0), {seed} or
/// {prompt}
///   (its letters and digits, at most 60 bytes): a file of each;
/// - a picture's name without: one picture, or a grid of all;
/// - else a folder, in which they are 00000.png, 00001.png, ...
/// Throws UserError where two pictures would get one name, or for a suffix that is no picture's.
OutputNames output_names(const std::filesystem::path& output,
                         std::span<const PictureName> pictures);

}  // namespace crescendo::pipelines
