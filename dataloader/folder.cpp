#include "dataloader/folder.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "dataloader/folder_files.h"
#include "dataloader/folder_layouts.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> find_metadata(const fs::path& folder, const std::vector<fs::path>& files) {
  std::vector<std::string> found;
  std::set<fs::path> parents;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    if (name == "metadata.parquet") {
      throw UserError("{}: Parquet is not supported; expected metadata.jsonl or metadata.csv",
                      (folder / file).string());
    }
    if (name != "metadata.jsonl" && name != "metadata.csv") continue;
    if (!parents.insert(file.parent_path()).second) {
      throw UserError("{}: both metadata.csv and metadata.jsonl; expected one of them",
                      (folder / file.parent_path()).string());
    }
    found.push_back(file.generic_string());
  }
  return found;
}

}  // namespace

FolderItem* ItemList::add(const fs::path& image, const std::string& where) {
  if (const auto problem = problem_with_image(folder_, image)) {
    listing_.skipped.push_back(fmt::format("{}: {}", where, *problem));
    return nullptr;
  }
  const std::string key = key_of_image(image);
  if (const auto [known, is_new] = keys_.emplace(key, image.generic_string()); !is_new) {
    listing_.skipped.push_back(
        known->second == image.generic_string()
            ? fmt::format("{}: a second row of this image", where)
            : fmt::format("{}: has the same key '{}' as {}", where, key, known->second));
    return nullptr;
  }
  FolderItem& item = listing_.items.emplace_back();
  item.key = key;
  item.image = folder_ / image;
  return &item;
}

FolderListing list_folder(const fs::path& folder, const FolderOptions& options) {
  FolderFiles found = walk_folder(folder);
  FolderListing listing;
  listing.hidden = found.hidden;
  for (const std::string& link : found.links) {
    listing.skipped.push_back(link + ": a link to a folder");
  }
  listing.metadata_files = find_metadata(folder, found.files);
  if (!listing.metadata_files.empty()) {
    list_metadata(folder, found.files, options.caption_column, listing);
  } else if (!options.caption_column.empty()) {
    throw UserError(
        "{}: --caption-column is of a metadata.jsonl or metadata.csv; found neither in the folder",
        folder.string());
  } else {
    list_captioned(folder, found.files, options.caption_extension, listing);
  }
  if (listing.items.empty()) {
    std::string hint;
    if (!listing.skipped.empty()) hint = "; skipped: " + listing.skipped.front();
    if (listing.others.contains(".tar") || listing.others.contains(".gz")) {
      hint += fmt::format("; tars are named by themselves: '{}'", (folder / "*.tar").string());
    }
    throw UserError("{}: no image in this folder; expected jpg, png or webp files{}",
                    folder.string(), hint);
  }
  std::ranges::sort(listing.items, {}, &FolderItem::key);
  return listing;
}

}  // namespace crescendo::dataloader
