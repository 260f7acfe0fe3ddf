#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace crescendo::dataloader {

/// One image of a folder, undecoded.
struct FolderItem {
  std::string key;  ///< path below the folder, without extension, dots of the name made `_`
  std::filesystem::path image;
  std::string caption;  ///< UTF-8, trimmed
  bool has_caption = false;
  std::int64_t label = -1;  ///< index into class_names; -1 for an image that lies in no sub-folder
};

struct FolderListing {
  std::vector<FolderItem> items;         ///< in the order of their keys
  std::vector<std::string> class_names;  ///< the top sub-folders that hold images, sorted by name
  std::vector<std::string> images_without_caption;  ///< paths below the folder, as are the next
  std::vector<std::string> captions_without_image;
  std::vector<std::string> skipped;  ///< "path: reason": unreadable, or a second image of a key
};

/// Walks a captioned folder: images (jpg, jpeg, png, webp), each with the caption in the file of
/// the same stem and `caption_extension`; the top sub-folder is the class. Names that begin with a
/// dot are passed over, links to folders not followed. Throws UserError when the folder cannot be
/// read or holds no image.
FolderListing list_folder(const std::filesystem::path& folder,
                          const std::string& caption_extension = ".txt");

}  // namespace crescendo::dataloader
