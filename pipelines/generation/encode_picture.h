#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dataloader/image.h"

namespace crescendo::pipelines {

enum class PictureFormat { kPng, kJpeg, kWebp };

/// By suffix: .png, .jpg, .jpeg or .webp, in capitals too; nothing else is a picture.
bool is_picture_name(const std::filesystem::path& path);
PictureFormat picture_format(const std::filesystem::path& path);

/// What a picture file tells of how it was made.
struct PictureTexts {
  std::string parameters{};       ///< parameters_text()
  nlohmann::ordered_json json{};  ///< to_json(); of a grid, an array of them
};

/// A picture file in memory. A PNG has both texts, in the chunks "parameters" and "crescendo"; JPEG
/// and WebP have `parameters` alone, as the UserComment of their EXIF. quality, 1 to 100: of JPEG
/// and WebP.
std::vector<std::byte> encode_picture(const dataloader::Image& picture, PictureFormat format,
                                      const PictureTexts& texts, int quality = 90);

}  // namespace crescendo::pipelines
