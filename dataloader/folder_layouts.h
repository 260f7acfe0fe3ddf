#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "dataloader/folder.h"

namespace crescendo::dataloader {

/// Fills a listing's items, each image under a key of its own.
class ItemList {
 public:
  ItemList(const std::filesystem::path& folder, FolderListing& listing)
      : folder_(folder), listing_(listing) {}

  /// The new item of `image`, a path below the folder; null when it is skipped, which the listing
  /// then says, `where` first.
  FolderItem* add(const std::filesystem::path& image, const std::string& where);

 private:
  const std::filesystem::path& folder_;
  FolderListing& listing_;
  std::map<std::string, std::string> keys_;
};

// The layouts of list_folder(). `files` are relative to the folder, sorted.

void list_captioned(const std::filesystem::path& folder,
                    const std::vector<std::filesystem::path>& files,
                    const std::string& caption_extension, FolderListing& listing);

/// Reads listing.metadata_files.
void list_metadata(const std::filesystem::path& folder,
                   const std::vector<std::filesystem::path>& files,
                   const std::string& caption_column, FolderListing& listing);

}  // namespace crescendo::dataloader
