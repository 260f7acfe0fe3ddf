#include "pipelines/monitoring/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crc32c.h"
#include "core/error.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kNamePrefix = "events.out.tfevents.";
constexpr std::chrono::seconds kFlushEvery(10);
constexpr std::size_t kMaxPendingBytes = std::size_t{1} << 26;  ///< while writes fail

template <typename Integer>
void append_little_endian(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof(value); ++i) {
    out += static_cast<char>(value >> (8 * i) & 0xFF);
  }
}

/// A protocol buffer under construction; `field` is the number in the .proto file.
class Message {
 public:
  Message& add_varint(std::uint32_t field, std::uint64_t value) {
    append_varint(field << 3 | 0);
    append_varint(value);
    return *this;
  }
  Message& add_double(std::uint32_t field, double value) {
    append_varint(field << 3 | 1);
    append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  Message& add_bytes(std::uint32_t field, std::string_view value) {
    append_varint(field << 3 | 2);
    append_varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& add_float(std::uint32_t field, float value) {
    append_varint(field << 3 | 5);
    append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void append_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

/// What every event begins with (wall_time = 1, step = 2).
Message event_at(std::int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  Message event;
  event.add_double(1, now.count()).add_varint(2, static_cast<std::uint64_t>(step));
  return event;
}

/// A checksum as the record format wants it: of data that holds checksums it is no weaker.
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(std::as_bytes(std::span(bytes))), 15) + 0xA282EAD8;
}

/// The seconds in the name of an event file, or 0.
std::int64_t time_in(const std::string& name) {
  if (!name.starts_with(kNamePrefix)) return 0;
  std::int64_t seconds = 0;
  std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

/// TensorBoard reads the files of a folder in the order of their names, so the clock is helped
/// where a run was resumed within a second or the clock was set back.
fs::path next_name(const fs::path& folder) {
  std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  for (const auto& entry : fs::directory_iterator(folder)) {
    seconds = std::max(seconds, time_in(entry.path().filename().string()) + 1);
  }
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {'h', 'o', 's', 't'};
  return folder / fmt::format("{}{:010}.{}.{}.0", kNamePrefix, seconds, host.data(), ::getpid());
}

}  // namespace

EventFile::EventFile(const fs::path& folder, std::int64_t first_step)
    : flushed_(std::chrono::steady_clock::now()) {
  std::error_code error;
  fs::create_directories(folder, error);
  try {
    path_ = next_name(folder);
  } catch (const fs::filesystem_error& failure) {
    throw UserError("{}: cannot be read: {}", folder.string(), failure.code().message());
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw UserError("{}: cannot be written: {}", path_.string(), std::strerror(errno));
  }
  // file_version = 3, source_metadata = 10 {writer = 1}, session_log = 7 {status = 1: START}
  append_record(event_at(0)
                    .add_bytes(3, "brain.Event:2")
                    .add_bytes(10, Message().add_bytes(1, "crescendo").bytes())
                    .bytes());
  append_record(event_at(first_step).add_bytes(7, Message().add_varint(1, 1).bytes()).bytes());
}

EventFile::~EventFile() {
  try {
    flush();
  } catch (const UserError&) {  // told at every attempt before
  }
  ::close(descriptor_);
}

void EventFile::add_scalars(std::int64_t step, std::span<const Scalar> scalars) {
  Message summary;  // of values = 1 {tag = 1, simple_value = 2}
  for (const Scalar& scalar : scalars) {
    Message value;
    value.add_bytes(1, scalar.tag).add_float(2, static_cast<float>(scalar.value));
    summary.add_bytes(1, value.bytes());
  }
  add_summary(step, summary.bytes());
}

void EventFile::add_image(std::int64_t step, std::string_view tag, std::span<const std::byte> png,
                          std::int64_t width, std::int64_t height) {
  constexpr std::uint64_t kRgb = 3;
  Message image;  // {height = 1, width = 2, colorspace = 3, encoded_image_string = 4}
  image.add_varint(1, static_cast<std::uint64_t>(height))
      .add_varint(2, static_cast<std::uint64_t>(width))
      .add_varint(3, kRgb)
      .add_bytes(4, {reinterpret_cast<const char*>(png.data()), png.size()});
  const Message value = Message().add_bytes(1, tag).add_bytes(4, image.bytes());
  add_summary(step, Message().add_bytes(1, value.bytes()).bytes());
}

void EventFile::add_text(std::int64_t step, std::string_view tag, std::string_view text) {
  constexpr std::uint64_t kString = 7;
  const Message one = Message().add_varint(1, 1);  // a dimension of size 1
  Message tensor;                                  // {dtype = 1, tensor_shape = 2, string_val = 8}
  tensor.add_varint(1, kString).add_bytes(2, Message().add_bytes(2, one.bytes()).bytes());
  tensor.add_bytes(8, text);
  const Message plugin = Message().add_bytes(1, "text");
  Message value;  // {tag = 1, tensor = 8, metadata = 9 {plugin_data = 1 {plugin_name = 1}}}
  value.add_bytes(1, tag).add_bytes(8, tensor.bytes());
  value.add_bytes(9, Message().add_bytes(1, plugin.bytes()).bytes());
  add_summary(step, Message().add_bytes(1, value.bytes()).bytes());
}

void EventFile::add_summary(std::int64_t step, std::string_view summary) {
  append_record(event_at(step).add_bytes(5, summary).bytes());
  if (std::chrono::steady_clock::now() - flushed_ >= kFlushEvery) flush();
}

void EventFile::append_record(std::string_view event) {
  std::string length;
  append_little_endian(length, static_cast<std::uint64_t>(event.size()));
  pending_ += length;
  append_little_endian(pending_, masked_crc(length));
  pending_ += event;
  append_little_endian(pending_, masked_crc(event));
}

void EventFile::flush() {
  flushed_ = std::chrono::steady_clock::now();
  struct stat status {};
  int failure = ::fstat(descriptor_, &status) == 0 ? 0 : errno;
  if (failure == 0 && status.st_nlink == 0) failure = ENOENT;  // its folder was deleted
  // At a fixed place, so that what a failed write left there is written over.
  std::size_t done = 0;
  while (failure == 0 && done < pending_.size()) {
    const ssize_t count = ::pwrite(descriptor_, pending_.data() + done, pending_.size() - done,
                                   written_ + static_cast<std::int64_t>(done));
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      failure = count == 0 ? EIO : errno;
    }
  }
  if (failure != 0) {
    if (pending_.size() > kMaxPendingBytes) pending_.clear();
    throw UserError("{}: cannot be written: {}", path_.string(), std::strerror(failure));
  }
  written_ += static_cast<std::int64_t>(done);
  pending_.clear();
}

}  // namespace crescendo::pipelines
