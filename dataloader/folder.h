#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace crescendo::dataloader {

/// One image of a folder, undecoded.
struct FolderItem {
  std::string key;  ///< path below the folder, without extension, dots of the name made `_`
  std::filesystem::path image;
  std::string caption;  ///< UTF-8, trimmed
  bool has_caption = false;
  std::int64_t label = -1;  ///< -1 for an image without
  std::string json;         ///< an object of the other columns of its metadata; "" for none
};

struct FolderListing {
  std::vector<FolderItem> items;            ///< in the order of their keys
  std::vector<std::string> class_names;     ///< of the labels, sorted; empty when those are numbers
  std::vector<std::string> metadata_files;  ///< paths below the folder, as are the next two
  std::vector<std::string> images_without_caption;
  std::vector<std::string> captions_without_image;
  std::vector<std::string> images_without_row;  ///< that no metadata file names
  std::vector<std::string> skipped;             ///< "path: reason"
  std::map<std::string, std::size_t> others;    ///< files of no use here, by extension
  std::size_t hidden = 0;                       ///< files and folders that begin with a dot
};

struct FolderOptions {
  std::string caption_extension = ".txt";
  std::string caption_column{};  ///< of metadata files; "": text, or else caption
};

/// Lists the images (jpg, jpeg, png, webp) of a folder in the layout that it has:
/// - with a metadata.jsonl or metadata.csv in it or in folders below, as Hugging Face's imagefolder
///   has them, the images which those name, with their captions, labels and other columns. Labels
///   that are all numbers stay, else they are names;
/// - otherwise every image, with the caption in the file of the same stem and `caption_extension`;
///   the top sub-folder is the class.
/// Links to folders are not followed. Throws UserError when the folder cannot be read or holds no
/// usable image, DataError for a malformed metadata file.
FolderListing list_folder(const std::filesystem::path& folder, const FolderOptions& options = {});

}  // namespace crescendo::dataloader
