#include "dataloader/folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 4> kImageExtensions{".jpg", ".jpeg", ".png", ".webp"};

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& letter : extension) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return extension;
}

/// The files below a folder, relative to it, sorted, hidden ones left out.
std::vector<fs::path> walk(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
  std::vector<fs::path> files;
  for (const fs::recursive_directory_iterator end; entry != end; entry.increment(error)) {
    if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
    std::error_code ignored;
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
    } else if (!entry->is_directory(ignored)) {
      files.push_back(entry->path().lexically_relative(folder));
    }
  }
  if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
  std::ranges::sort(files, {}, [](const fs::path& path) { return path.generic_string(); });
  return files;
}

/// A sample's key ends at the first dot of a name, so the name of an image may hold none.
std::string key_of(const fs::path& image) {
  std::string stem = image.stem().string();
  std::ranges::replace(stem, '.', '_');
  return (image.parent_path() / stem).generic_string();
}

/// Why a file cannot be used, or nothing.
std::optional<std::string> problem_with(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return "not a file";
  if (fs::file_size(file, error) == 0) return "empty";
  if (::access(file.c_str(), R_OK) != 0) return std::strerror(errno);
  return std::nullopt;
}

class Lister {
 public:
  Lister(const fs::path& folder, const std::string& caption_extension)
      : folder_(folder), caption_extension_(caption_extension) {}

  FolderListing list() {
    for (const fs::path& file : walk(folder_)) {
      const std::string extension = lower_extension(file);
      if (std::ranges::find(kImageExtensions, extension) != kImageExtensions.end()) {
        add_image(file);
      } else if (file.extension() == caption_extension_) {
        captions_.insert(file);
      }
    }
    if (listing_.items.empty()) {
      throw UserError("{}: no image in this folder; expected jpg, png or webp files",
                      folder_.string());
    }
    std::ranges::sort(listing_.items, {}, &FolderItem::key);
    number_classes();
    for (FolderItem& item : listing_.items) read_caption(item);
    for (const fs::path& left : captions_) {
      listing_.captions_without_image.push_back(left.generic_string());
    }
    return std::move(listing_);
  }

 private:
  void add_image(const fs::path& file) {
    const std::string name = file.generic_string();
    if (const auto problem = problem_with(folder_ / file)) {
      listing_.skipped.push_back(fmt::format("{}: {}", name, *problem));
      return;
    }
    const std::string key = key_of(file);
    if (const auto [known, is_new] = keys_.emplace(key, name); !is_new) {
      listing_.skipped.push_back(
          fmt::format("{}: has the same key '{}' as {}", name, key, known->second));
      return;
    }
    FolderItem item;
    item.key = key;
    item.image = folder_ / file;
    listing_.items.push_back(std::move(item));
  }

  void number_classes() {
    std::map<std::string, std::int64_t> numbers;
    for (const FolderItem& item : listing_.items) {
      if (const std::string name = class_of(item); !name.empty()) numbers.emplace(name, 0);
    }
    for (auto& [name, number] : numbers) {
      number = static_cast<std::int64_t>(listing_.class_names.size());
      listing_.class_names.push_back(name);
    }
    for (FolderItem& item : listing_.items) {
      if (const auto found = numbers.find(class_of(item)); found != numbers.end()) {
        item.label = found->second;
      }
    }
  }

  std::string class_of(const FolderItem& item) const {
    const fs::path relative = item.image.lexically_relative(folder_);
    return relative.has_parent_path() ? relative.begin()->string() : std::string();
  }

  void read_caption(FolderItem& item) {
    const fs::path image = item.image.lexically_relative(folder_);
    const fs::path file = fs::path(image).replace_extension(caption_extension_);
    if (captions_.erase(file) == 0) {
      listing_.images_without_caption.push_back(image.generic_string());
      return;
    }
    try {
      const std::string text = read_file(folder_ / file);
      if (!is_utf8(text)) throw UserError("{}: not UTF-8", (folder_ / file).string());
      item.caption = trim(text);
      item.has_caption = true;
    } catch (const UserError& failure) {
      listing_.images_without_caption.push_back(image.generic_string());
      listing_.skipped.emplace_back(failure.what());
    }
  }

  const fs::path& folder_;
  const std::string& caption_extension_;
  FolderListing listing_;
  std::map<std::string, std::string> keys_;
  std::set<fs::path> captions_;
};

}  // namespace

FolderListing list_folder(const fs::path& folder, const std::string& caption_extension) {
  return Lister(folder, caption_extension).list();
}

}  // namespace crescendo::dataloader
