#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "dataloader/image.h"

namespace crescendo::pipelines {

/// Pictures of one size side by side, `columns` a row (0: as near to a square as can be), on white
/// with a gap between them.
dataloader::Image picture_grid(std::span<const dataloader::Image> pictures, std::int64_t columns);

/// Writes a PNG atomically; `text` goes into its iTXt chunks.
void write_png(const std::filesystem::path& path, const dataloader::Image& picture,
               const std::map<std::string, std::string>& text = {});

}  // namespace crescendo::pipelines
