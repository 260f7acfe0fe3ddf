#include "core/atomic_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "core/error.h"

namespace crescendo {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporarySuffix = ".crescendo-tmp";

/// Bytes after which the disk is set to work, while further ones are copied.
constexpr std::size_t kWriteBack = 16 << 20;

[[noreturn]] void fail(const fs::path& path, std::string_view action) {
  const int code = errno;
  throw UserError("{}: cannot {}: {}", path.string(), action, std::strerror(code));
}

fs::path temporary_name(const fs::path& path) {
  return fs::path(path.string() + "." + std::to_string(::getpid()) + std::string(kTemporarySuffix));
}

fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void create_parents(const fs::path& path) {
  std::error_code error;
  fs::create_directories(parent_of(path), error);
  if (error) {
    throw UserError("{}: cannot create the folder: {}", parent_of(path).string(), error.message());
  }
}

void sync_path(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "open for flushing");
  // EINVAL: the file system cannot flush this kind of object, which is no failure to write.
  const bool failed = ::fsync(descriptor) != 0 && errno != EINVAL;
  const int code = errno;
  ::close(descriptor);
  errno = code;
  if (failed) fail(path, "flush to disk");
}

/// Puts the folder `made` in the place of `path` and deletes what was there.
void replace_folder(const fs::path& made, const fs::path& path) {
  std::error_code ignored;
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(made, ignored);
    return;
  }
  // Without exchange a folder cannot be renamed over a full one: for an instant there is none.
  const fs::path old = temporary_name(path.string() + ".old");
  fs::remove_all(old, ignored);
  fs::rename(path, old);
  std::error_code error;
  fs::rename(made, path, error);
  if (error) {
    fs::rename(old, path, ignored);
    throw fs::filesystem_error("rename", path, error);
  }
  fs::remove_all(old, ignored);
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  create_parents(path_);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(path_, "write");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "write");
    }
    size_ += static_cast<std::size_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    if (size_ - on_its_way_ < kWriteBack) continue;
    // A wish alone: commit() sees to it.
    ::sync_file_range(descriptor_, static_cast<off_t>(on_its_way_),
                      static_cast<off_t>(size_ - on_its_way_), SYNC_FILE_RANGE_WRITE);
    on_its_way_ = size_;
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) fail(path_, "flush to disk");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    errno = code;
    fail(path_, "write");
  }
  sync_path(parent_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

void write_folder_atomically(const fs::path& path,
                             const std::function<void(const fs::path&)>& fill) {
  if (!path.has_filename() && path.has_relative_path()) {  // "folder/"
    return write_folder_atomically(path.parent_path(), fill);
  }
  create_parents(path);
  const fs::path temporary = temporary_name(path);
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  std::error_code error;
  fs::create_directory(temporary, error);
  if (error) throw UserError("{}: cannot create the folder: {}", path.string(), error.message());
  try {
    fill(temporary);
    for (const auto& entry : fs::recursive_directory_iterator(temporary)) sync_path(entry.path());
    sync_path(temporary);
    if (fs::exists(path)) {
      replace_folder(temporary, path);
    } else {
      fs::rename(temporary, path);
    }
    sync_path(parent_of(path));
  } catch (const fs::filesystem_error& failure) {
    fs::remove_all(temporary, ignored);
    throw UserError("{}: cannot write the folder: {}", path.string(), failure.code().message());
  } catch (...) {
    fs::remove_all(temporary, ignored);
    throw;
  }
}

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream || fs::is_directory(path)) {
    throw UserError("{}: cannot read: {}", path.string(),
                    fs::is_directory(path) ? "it is a folder" : std::strerror(errno));
  }
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool is_temporary_name(const fs::path& path) { return path.extension() == kTemporarySuffix; }

}  // namespace crescendo
