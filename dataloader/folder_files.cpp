#include "dataloader/folder_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include "core/error.h"
#include "core/text.h"
#include "dataloader/sample_reader.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 4> kImageExtensions{".jpg", ".jpeg", ".png", ".webp"};

}  // namespace

FolderFiles walk_folder(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
  FolderFiles found;
  for (const fs::recursive_directory_iterator end; entry != end; entry.increment(error)) {
    if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
    std::error_code ignored;
    const fs::path relative = entry->path().lexically_relative(folder);
    if (relative.filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
      ++found.hidden;
    } else if (!entry->is_directory(ignored)) {
      found.files.push_back(relative);
    } else if (entry->is_symlink(ignored)) {
      found.links.push_back(relative.generic_string());
    }
  }
  if (error) throw UserError("{}: cannot read the folder: {}", folder.string(), error.message());
  std::ranges::sort(found.files, {}, [](const fs::path& path) { return path.generic_string(); });
  std::ranges::sort(found.links);
  return found;
}

std::string lower_extension(const fs::path& file) {
  std::string extension = file.extension().string();
  for (char& letter : extension) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return extension;
}

bool is_image_name(const fs::path& file) {
  return std::ranges::find(kImageExtensions, lower_extension(file)) != kImageExtensions.end();
}

std::string key_of_image(const fs::path& image) {
  std::string stem = image.stem().string();
  std::ranges::replace(stem, '.', '_');
  return (image.parent_path() / stem).generic_string();
}

std::optional<std::string> problem_with_image(const fs::path& folder, const fs::path& image) {
  std::error_code error;
  const fs::path file = folder / image;
  if (!fs::exists(file, error)) {
    return fs::is_symlink(file, error) ? "a link to nothing" : "no such file";
  }
  if (!fs::is_regular_file(file, error)) return "not a file";
  if (fs::file_size(file, error) == 0) return "empty";
  if (::access(file.c_str(), R_OK) != 0) return std::strerror(errno);
  const std::string key = key_of_image(image);
  if (!is_utf8(key)) return "the name is not UTF-8";
  const auto split = split_member_name(key + ".jpg");
  if (!split || split->key != key) return "a top folder named __x__ is metadata to readers of tars";
  return std::nullopt;
}

}  // namespace crescendo::dataloader
