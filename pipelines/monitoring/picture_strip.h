#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace crescendo::pipelines {

/// Pictures over the course of a run: of however many, a few that lie evenly between the first and
/// the last, as small copies that can stand in a page.
class PictureStrip {
 public:
  struct Picture {
    std::int64_t step = 0;
    std::filesystem::path file;
    std::string jpeg;  ///< base64; empty until encode()
    std::int64_t width = 0;
    std::int64_t height = 0;
  };

  explicit PictureStrip(std::size_t most) : most_(most) {}

  /// Steps come in ascending order.
  void add(std::int64_t step, std::filesystem::path file);

  /// Reads those that are new, at most `side` pixels wide and high; forgets what cannot be read.
  void encode(std::int64_t side);

  const std::vector<Picture>& pictures() const { return pictures_; }

 private:
  std::size_t most_;
  std::vector<Picture> pictures_;
};

/// The pictures samples/step-NNNNNNNN.png of a run up to step `last`, with their steps, in order.
std::vector<std::pair<std::int64_t, std::filesystem::path>> sample_pictures(
    const std::filesystem::path& run, std::int64_t last);

}  // namespace crescendo::pipelines
