#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace crescendo::dataloader {

// What list_folder() does with single files, whatever the layout of the folder.

struct FolderFiles {
  std::vector<std::filesystem::path> files;  ///< relative to the folder, sorted
  std::vector<std::string> links;            ///< to folders, which are not followed
  std::size_t hidden = 0;                    ///< files and folders whose name begins with a dot
};

/// Throws UserError when a folder cannot be read.
FolderFiles walk_folder(const std::filesystem::path& folder);

std::string lower_extension(const std::filesystem::path& file);

/// By its extension: jpg, jpeg, png or webp, in whatever case.
bool is_image_name(const std::filesystem::path& file);

/// A sample's key ends at the first dot of a name, so those of an image's name become `_`.
std::string key_of_image(const std::filesystem::path& image);

/// Why FOLDER/IMAGE cannot be packed, or nothing.
std::optional<std::string> problem_with_image(const std::filesystem::path& folder,
                                              const std::filesystem::path& image);

}  // namespace crescendo::dataloader
