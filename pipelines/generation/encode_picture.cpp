#include "pipelines/generation/encode_picture.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "core/error.h"
#include "dataloader/encode_image.h"
#include "dataloader/exif.h"

namespace crescendo::pipelines {

namespace {

std::optional<PictureFormat> format_named(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(), [](unsigned char c) { return std::tolower(c); });
  if (suffix == ".png") return PictureFormat::kPng;
  if (suffix == ".jpg" || suffix == ".jpeg") return PictureFormat::kJpeg;
  if (suffix == ".webp") return PictureFormat::kWebp;
  return std::nullopt;
}

}  // namespace

bool is_picture_name(const std::filesystem::path& path) { return format_named(path).has_value(); }

PictureFormat picture_format(const std::filesystem::path& path) {
  const auto format = format_named(path);
  if (format) return *format;
  throw UserError("{}: expected a name ending in .png, .jpg, .jpeg or .webp", path.string());
}

std::vector<std::byte> encode_picture(const dataloader::Image& picture, PictureFormat format,
                                      const PictureTexts& texts, int quality) {
  if (format == PictureFormat::kPng) {
    std::map<std::string, std::string> chunks;
    if (!texts.parameters.empty()) chunks["parameters"] = texts.parameters;
    if (!texts.json.is_null()) chunks["crescendo"] = texts.json.dump();
    return dataloader::encode_png(picture, {}, chunks);
  }
  const std::vector<std::byte> exif = texts.parameters.empty()
                                          ? std::vector<std::byte>{}
                                          : dataloader::exif_with_comment(texts.parameters);
  return format == PictureFormat::kJpeg ? dataloader::encode_jpeg(picture, quality, exif)
                                        : dataloader::encode_webp(picture, quality, exif);
}

}  // namespace crescendo::pipelines
