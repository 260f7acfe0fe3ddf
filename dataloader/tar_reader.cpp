#include "dataloader/tar_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include <archive.h>
#include <archive_entry.h>

#include "core/error.h"
#include "dataloader/decompress.h"
#include "dataloader/utf8_locale.h"

namespace crescendo::dataloader {

namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::size_t kReadStep = 1 << 20;

std::uint64_t round_up_to_block(std::uint64_t size) {
  return (size + kBlock - 1) / kBlock * kBlock;
}

}  // namespace

/// What libarchive reads from. It also notes where the last byte other than zero was, by which the
/// end of the archive is checked.
struct TarReader::Feed {
  std::unique_ptr<ByteSource> source;
  std::exception_ptr failure;
  std::uint64_t total = 0;           ///< bytes read so far
  std::uint64_t end_of_nonzero = 0;  ///< position after the last byte that is not zero
  std::array<std::byte, 1 << 16> buffer;

  std::size_t refill() {
    const std::size_t count = source->read(buffer);
    const auto last =
        std::find_if(buffer.rend() - static_cast<std::ptrdiff_t>(count), buffer.rend(),
                     [](std::byte value) { return value != std::byte{0}; });
    if (last != buffer.rend()) {
      end_of_nonzero = total + static_cast<std::uint64_t>(buffer.rend() - last);
    }
    total += count;
    return count;
  }

  /// libarchive's callback: exceptions must not pass through C, so they wait in `failure`.
  static la_ssize_t read(archive* reader, void* self, const void** bytes) {
    Feed& feed = *static_cast<Feed*>(self);
    *bytes = feed.buffer.data();
    try {
      return static_cast<la_ssize_t>(feed.refill());
    } catch (...) {
      feed.failure = std::current_exception();
      archive_set_error(reader, EIO, "cannot read");
      return ARCHIVE_FATAL;
    }
  }
};

TarReader::TarReader(const std::filesystem::path& path, std::chrono::seconds pipe_timeout)
    : TarReader(std::make_unique<Feed>(), path.string()) {
  feed_->source = decompressed(open_shard(name_, pipe_timeout), name_);
}

TarReader::TarReader(std::span<const std::byte> bytes, std::string name)
    : TarReader(std::make_unique<Feed>(), std::move(name)) {
  feed_->source = decompressed(open_memory(bytes), name_);
}

TarReader::TarReader(std::unique_ptr<Feed> feed, std::string name)
    : name_(std::move(name)), feed_(std::move(feed)), archive_(archive_read_new()) {
  if (archive_ == nullptr) throw std::bad_alloc();
  archive_read_support_format_tar(archive_);
}

TarReader::~TarReader() { archive_read_free(archive_); }

std::optional<TarMember> TarReader::next() {
  if (ended_) return std::nullopt;
  const Utf8Locale locale;
  if (feed_->total == 0) {
    const int status = archive_read_open(archive_, feed_.get(), nullptr, Feed::read, nullptr);
    if (feed_->failure) std::rethrow_exception(feed_->failure);
    if (feed_->total == 0) fail("the file is empty; expected a tar archive");
    if (status != ARCHIVE_OK) fail_with_reason();
  }
  for (;;) {
    finish_member();
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(archive_, &entry);
    if (feed_->failure) std::rethrow_exception(feed_->failure);
    if (status == ARCHIVE_EOF) {
      check_end();
      ended_ = true;
      return std::nullopt;
    }
    // A warning is damage too, and then the entry must not be touched.
    if (status != ARCHIVE_OK) fail_with_reason();
    in_member_ = true;
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) fail("a member without a name");
    member_.name = name;
    member_.offset = static_cast<std::uint64_t>(archive_filter_bytes(archive_, 0));
    member_.size = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
    if (archive_entry_sparse_count(entry) > 0) fail("a sparse member; expected plain files");
    const bool regular =
        archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr;
    if (regular) return member_;
  }
}

std::vector<std::byte> TarReader::read() {
  std::vector<std::byte> bytes;
  while (bytes.size() < member_.size) {
    const std::size_t begin = bytes.size();
    bytes.resize(begin + std::min<std::uint64_t>(kReadStep, member_.size - begin));
    const la_ssize_t count =
        archive_read_data(archive_, bytes.data() + begin, bytes.size() - begin);
    if (feed_->failure) std::rethrow_exception(feed_->failure);
    if (count < 0) fail_with_reason();
    bytes.resize(begin + static_cast<std::size_t>(count));
    if (count == 0) fail("a member shorter than its header says");
  }
  return bytes;
}

void TarReader::finish_member() {
  if (!in_member_) return;
  const int status = archive_read_data_skip(archive_);
  if (feed_->failure) std::rethrow_exception(feed_->failure);
  if (status != ARCHIVE_OK) fail_with_reason();
  end_of_members_ =
      round_up_to_block(static_cast<std::uint64_t>(archive_filter_bytes(archive_, 0)));
  in_member_ = false;
}

// libarchive takes a cut between two members for the end: two blocks of zeros must mark it, and
// nothing may follow them, which would be lost without a word (concatenated archives).
void TarReader::check_end() const {
  while (feed_->refill() > 0) {
  }
  if (feed_->end_of_nonzero > end_of_members_) {
    throw DataError(
        "{}: data after the end of the archive at byte {}; concatenated tars are not supported, "
        "extract and pack them anew",
        name_, end_of_members_);
  }
  if (feed_->total < end_of_members_ + 2 * kBlock) {
    fail("no end-of-archive mark, so members may be missing");
  }
}

void TarReader::fail(std::string_view what) const {
  const std::string place =
      member_.name.empty() ? std::string() : fmt::format(", at or after member '{}'", member_.name);
  throw DataError("{}: {} (byte {}{}); the shard is cut short or damaged, copy or pack it again",
                  name_, what, archive_filter_bytes(archive_, 0), place);
}

void TarReader::fail_with_reason() const {
  // NULL for some fatal errors.
  const char* reason = archive_error_string(archive_);
  fail(reason != nullptr ? reason : "damaged tar archive");
}

}  // namespace crescendo::dataloader
