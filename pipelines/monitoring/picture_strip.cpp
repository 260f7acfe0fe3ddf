#include "pipelines/monitoring/picture_strip.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>
#include <utility>

#include "core/atomic_file.h"
#include "core/base64.h"
#include "core/error.h"
#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "dataloader/resize.h"

namespace crescendo::pipelines {

namespace {

constexpr int kJpegQuality = 80;

}  // namespace

void PictureStrip::add(std::int64_t step, std::filesystem::path file) {
  pictures_.push_back({step, std::move(file), "", 0, 0});
  if (pictures_.size() <= most_) return;
  // The one that leaves the smallest gap goes.
  std::size_t least = 1;
  const auto gap = [this](std::size_t i) { return pictures_[i + 1].step - pictures_[i - 1].step; };
  for (std::size_t i = 2; i + 1 < pictures_.size(); ++i) {
    if (gap(i) < gap(least)) least = i;
  }
  pictures_.erase(pictures_.begin() + static_cast<std::ptrdiff_t>(least));
}

void PictureStrip::encode(std::int64_t side) {
  std::erase_if(pictures_, [side](Picture& picture) {
    if (!picture.jpeg.empty()) return false;
    try {
      const std::string content = read_file(picture.file);
      dataloader::Image image = dataloader::decode_image(std::as_bytes(std::span(content)));
      const double scale = static_cast<double>(side) /
                           static_cast<double>(std::max({image.width, image.height, side}));
      const auto scaled = [scale](std::int64_t length) {
        return std::max<std::int64_t>(1, std::llround(scale * static_cast<double>(length)));
      };
      picture.width = scaled(image.width);
      picture.height = scaled(image.height);
      const dataloader::Size small{picture.width, picture.height};
      if (scale < 1) {
        image = dataloader::resize(image, small, {0, 0, small}, dataloader::Filter::kBicubic);
      }
      picture.jpeg = to_base64(dataloader::encode_jpeg(image, kJpegQuality));
      return false;
    } catch (const Error&) {
      return true;
    }
  });
}

std::vector<std::pair<std::int64_t, std::filesystem::path>> sample_pictures(
    const std::filesystem::path& run, std::int64_t last) {
  constexpr std::string_view kPrefix = "step-";
  std::vector<std::pair<std::int64_t, std::filesystem::path>> pictures;
  if (!std::filesystem::exists(run / "samples")) return pictures;
  for (const auto& entry : std::filesystem::directory_iterator(run / "samples")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(".png")) continue;
    std::int64_t step = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
    if (step <= last) pictures.emplace_back(step, entry.path());
  }
  std::ranges::sort(pictures);
  return pictures;
}

}  // namespace crescendo::pipelines
