#include <map>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "dataloader/folder_files.h"
#include "dataloader/folder_layouts.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

/// The top sub-folder of an image, or "".
std::string class_of(const fs::path& image) {
  return image.has_parent_path() ? image.begin()->string() : std::string();
}

void number_classes(const fs::path& folder, FolderListing& listing) {
  std::map<std::string, std::int64_t> numbers;
  const auto name_of = [&](const FolderItem& item) {
    return class_of(item.image.lexically_relative(folder));
  };
  for (const FolderItem& item : listing.items) {
    if (const std::string name = name_of(item); !name.empty()) numbers.emplace(name, 0);
  }
  for (auto& [name, number] : numbers) {
    number = static_cast<std::int64_t>(listing.class_names.size());
    listing.class_names.push_back(name);
  }
  for (FolderItem& item : listing.items) {
    if (const auto found = numbers.find(name_of(item)); found != numbers.end()) {
      item.label = found->second;
    }
  }
}

void read_caption(const fs::path& folder, const fs::path& file, FolderItem& item,
                  FolderListing& listing) {
  try {
    const std::string text = read_file(folder / file);
    if (!is_utf8(text)) throw UserError("{}: not UTF-8", (folder / file).string());
    item.caption = trim(text);
    item.has_caption = true;
  } catch (const UserError& failure) {
    listing.skipped.emplace_back(failure.what());
  }
}

}  // namespace

void list_captioned(const fs::path& folder, const std::vector<fs::path>& files,
                    const std::string& caption_extension, FolderListing& listing) {
  ItemList items(folder, listing);
  const std::string dot = caption_extension.starts_with('.') ? "" : ".";
  const std::string wanted = lower_extension("a" + dot + caption_extension);
  std::map<fs::path, fs::path> captions;  // by their names with the extension in lower case
  for (const fs::path& file : files) {
    const std::string extension = lower_extension(file);
    if (is_image_name(file)) {
      items.add(file, file.generic_string());
    } else if (extension != wanted) {
      ++listing.others[extension];
    } else if (!captions.emplace(fs::path(file).replace_extension(extension), file).second) {
      listing.skipped.push_back(file.generic_string() + ": a second caption of one image");
    }
  }
  number_classes(folder, listing);
  for (FolderItem& item : listing.items) {
    const fs::path image = item.image.lexically_relative(folder);
    const auto caption = captions.extract(fs::path(image).replace_extension(wanted));
    if (!caption.empty()) read_caption(folder, caption.mapped(), item, listing);
    if (!item.has_caption) listing.images_without_caption.push_back(image.generic_string());
  }
  for (const auto& [name, left] : captions) {
    listing.captions_without_image.push_back(left.generic_string());
  }
}

}  // namespace crescendo::dataloader
