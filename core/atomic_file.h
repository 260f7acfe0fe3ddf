#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace crescendo {

/// Writes a file that is whole or absent: bytes go to a temporary name in the same folder, are
/// flushed to disk, and commit() renames. Destroyed without commit(), it leaves nothing behind.
/// Every failure throws UserError naming the path and the system's reason.
class AtomicFile {
 public:
  /// Creates the parent folders and opens the temporary file.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// fsync, rename over `path`, fsync of the folder.
  void commit();

  /// Bytes written so far.
  std::size_t size() const { return size_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  std::size_t size_ = 0;
  std::size_t on_its_way_ = 0;  ///< to the disk
};

/// One call for a small file.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// Builds a folder that is whole or absent: `fill` writes into a temporary sibling, which is then
/// flushed and renamed. An existing folder at `path` is replaced only after the new one is whole.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path&)>& fill);

/// The whole content of a file. Throws UserError when it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// True for the names that the functions above use while a write is under way, so that
/// listings can pass over what a killed process left.
bool is_temporary_name(const std::filesystem::path& path);

}  // namespace crescendo
