#include "dataloader/plain_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/error.h"
#include "dataloader/decompress.h"

namespace crescendo::dataloader {

PlainFile::PlainFile(const std::filesystem::path& path)
    : path_(path.string()), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  // O_NONBLOCK: opening a pipe by mistake must not wait for its writer.
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
    const int reason = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw UserError("{}: cannot open: {}", path_, std::strerror(reason));
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw UserError("{}: no regular file, so it cannot be read at random", path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

PlainFile::~PlainFile() { ::close(descriptor_); }

void PlainFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw UserError("{}: cannot read: {}", path_, std::strerror(errno));
    if (count == 0) {
      throw DataError("{}: the file ends at byte {}; expected {} bytes more", path_, offset,
                      out.size());
    }
    offset += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

std::uint32_t PlainFile::crc32(std::uint64_t offset, std::uint64_t size) const {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 1 << 20));
  std::uint32_t crc = 0;
  while (size > 0) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(size, buffer.size()));
    read(offset, part);
    crc = crc32_of(part, crc);
    offset += part.size();
    size -= part.size();
  }
  return crc;
}

std::string_view PlainFile::compression() const {
  std::array<std::byte, kMagicBytes> front{};
  const auto part = std::span(front).first(std::min<std::uint64_t>(size_, front.size()));
  read(0, part);
  return compression_of(part);
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  return static_cast<std::uint32_t>(
      ::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace crescendo::dataloader
