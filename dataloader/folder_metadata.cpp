#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "dataloader/folder_files.h"
#include "dataloader/folder_layouts.h"
#include "dataloader/metadata.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

std::optional<std::int64_t> class_number(const std::string& label) {
  std::int64_t number = -1;
  const char* const end = label.data() + label.size();
  const auto [stop, error] = std::from_chars(label.data(), end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

/// `labels` by the key of the image. All numbers, or else names, which are numbered in order.
void assign_labels(const std::map<std::string, std::string>& labels, FolderListing& listing) {
  const bool are_numbers = std::ranges::all_of(
      labels, [](const auto& label) { return class_number(label.second).has_value(); });
  if (!are_numbers) {
    std::set<std::string> names;
    for (const auto& [key, label] : labels) names.insert(label);
    listing.class_names.assign(names.begin(), names.end());
  }
  for (FolderItem& item : listing.items) {
    const auto found = labels.find(item.key);
    if (found == labels.end()) continue;
    item.label = are_numbers ? *class_number(found->second)
                             : std::ranges::lower_bound(listing.class_names, found->second) -
                                   listing.class_names.begin();
  }
}

/// The path below the folder that a row names, or why there is none.
std::optional<std::string> problem_with_path(const fs::path& image) {
  if (image.is_absolute() || *image.begin() == "..") return "outside the folder";
  if (!is_image_name(image)) return "not a jpg, png or webp file";
  return std::nullopt;
}

}  // namespace

void list_metadata(const fs::path& folder, const std::vector<fs::path>& files,
                   const std::string& caption_column, FolderListing& listing) {
  ItemList items(folder, listing);
  std::map<std::string, std::string> labels;
  std::set<std::string> named;
  for (const std::string& metadata : listing.metadata_files) {
    for (const MetadataRow& row : read_metadata(folder / metadata, caption_column)) {
      const std::string where = fmt::format("{}:{}: {}", metadata, row.line, row.file_name);
      const fs::path image = (fs::path(metadata).parent_path() / row.file_name).lexically_normal();
      named.insert(image.generic_string());
      if (const auto problem = problem_with_path(image)) {
        listing.skipped.push_back(fmt::format("{}: {}", where, *problem));
        continue;
      }
      FolderItem* const item = items.add(image, where);
      if (item == nullptr) continue;
      if (row.caption) item->caption = trim(*row.caption);
      item->has_caption = row.caption.has_value();
      item->json = row.json;
      if (row.label && !trim(*row.label).empty()) labels.emplace(item->key, trim(*row.label));
      if (!row.caption) listing.images_without_caption.push_back(image.generic_string());
    }
  }
  assign_labels(labels, listing);
  for (const fs::path& file : files) {
    const std::string name = file.generic_string();
    if (is_image_name(file)) {
      if (!named.contains(name)) listing.images_without_row.push_back(name);
    } else if (std::ranges::find(listing.metadata_files, name) == listing.metadata_files.end()) {
      ++listing.others[lower_extension(file)];
    }
  }
}

}  // namespace crescendo::dataloader
