#include "pipelines/shards/contact_sheet.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "dataloader/decode_image.h"
#include "dataloader/resize.h"
#include "pipelines/shards/fingerprint.h"
#include "pipelines/shards/picture_file.h"

namespace crescendo::pipelines {

using dataloader::Image;

namespace {

constexpr std::size_t kPictures = 48;
constexpr std::int64_t kColumns = 8;
constexpr std::int64_t kSide = 128;  // of a thumbnail's square, pixels

/// The whole image, in the middle of a light square.
Image thumbnail(const Image& image) {
  const std::int64_t longer = std::max(image.width, image.height);
  const dataloader::Size size{std::max<std::int64_t>(image.width * kSide / longer, 1),
                              std::max<std::int64_t>(image.height * kSide / longer, 1)};
  const Image scaled = dataloader::resize(image, size, {0, 0, size}, dataloader::Filter::kBicubic);
  Image square{kSide, kSide, std::vector<std::uint8_t>(kSide * kSide * 3, 238)};
  const std::int64_t left = (kSide - size.width) / 2;
  const std::int64_t top = (kSide - size.height) / 2;
  for (std::int64_t y = 0; y < size.height; ++y) {
    std::memcpy(square.pixels.data() + ((top + y) * kSide + left) * 3,
                scaled.pixels.data() + y * size.width * 3,
                static_cast<std::size_t>(size.width * 3));
  }
  return square;
}

}  // namespace

void ContactSheet::add(const std::string& key, std::span<const std::byte> bytes) {
  Fingerprint print;
  print.add(key);
  const std::uint64_t hash = print.value();
  if (thumbnails_.size() == kPictures && hash >= thumbnails_.rbegin()->first) return;
  try {
    thumbnails_.emplace(hash, thumbnail(dataloader::decode_image(bytes)));
  } catch (const dataloader::SampleError&) {
    return;  // inspect tells of it, or will with --decode
  }
  if (thumbnails_.size() > kPictures) thumbnails_.erase(std::prev(thumbnails_.end()));
}

void ContactSheet::write(const std::filesystem::path& path) const {
  if (thumbnails_.empty()) {
    throw UserError("{}: no image could be decoded for the contact sheet", path.string());
  }
  std::vector<Image> pictures;
  for (const auto& [hash, picture] : thumbnails_) pictures.push_back(picture);
  write_png(path, picture_grid(pictures, kColumns));
}

}  // namespace crescendo::pipelines
