#include "dataloader/shard_writer.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "dataloader/plain_file.h"
#include "dataloader/sample_reader.h"
#include "dataloader/shard_index.h"
#include "dataloader/utf8_locale.h"

namespace crescendo::dataloader {

namespace {

constexpr mode_t kMode = 0644;

}  // namespace

/// One tar under way, in a temporary file.
class ShardWriter::OpenShard {
 public:
  explicit OpenShard(const std::filesystem::path& path)
      : path_(path), file_(path), archive_(archive_write_new()) {
    if (archive_ == nullptr) throw std::bad_alloc();
    const Utf8Locale locale;
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_add_filter_none(archive_.get());
    check(archive_write_open(archive_.get(), this, nullptr, write_block, nullptr));
  }

  ~OpenShard() {
    // libarchive frees its buffers only on closing: what that still writes goes nowhere.
    discarding_ = true;
    archive_write_close(archive_.get());
  }
  OpenShard(const OpenShard&) = delete;
  OpenShard& operator=(const OpenShard&) = delete;

  void begin_sample(const std::string& key) { index_.samples.push_back({key, {}}); }

  void write(std::string_view suffix, std::span<const std::byte> bytes) {
    const Utf8Locale locale;
    const std::string name = fmt::format("{}.{}", index_.samples.back().key, suffix);
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    if (!entry) throw std::bad_alloc();
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), kMode);
    archive_entry_set_mtime(entry.get(), 0, 0);
    check(archive_write_header(archive_.get(), entry.get()));
    const auto offset = static_cast<std::uint64_t>(archive_filter_bytes(archive_.get(), 0));
    index_.samples.back().members.push_back(
        {std::string(suffix), offset, bytes.size(), crc32_of(bytes)});
    const la_ssize_t written = archive_write_data(archive_.get(), bytes.data(), bytes.size());
    check(written == static_cast<la_ssize_t>(bytes.size()) ? ARCHIVE_OK : ARCHIVE_FATAL);
  }

  /// An index is believed for a shard of its size. So that none ever lies beside the shard of
  /// another, whatever instant the process ends at, an old one goes first and the new comes last.
  void commit() {
    check(archive_write_close(archive_.get()));
    std::filesystem::remove(index_path(path_));
    index_.shard_bytes = file_.size();
    file_.commit();
    write_shard_index(path_, index_);
  }

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return file_.size(); }
  std::size_t sample_count() const { return index_.samples.size(); }

 private:
  /// libarchive's callback: exceptions must not pass through C, so they wait in `failure_`.
  static la_ssize_t write_block(archive* writer, void* self, const void* bytes, std::size_t size) {
    OpenShard& shard = *static_cast<OpenShard*>(self);
    if (shard.discarding_) return static_cast<la_ssize_t>(size);
    try {
      shard.file_.write(std::span(static_cast<const std::byte*>(bytes), size));
      return static_cast<la_ssize_t>(size);
    } catch (...) {
      shard.failure_ = std::current_exception();
      archive_set_error(writer, EIO, "cannot write");
      return ARCHIVE_FATAL;
    }
  }

  void check(int status) {
    if (failure_) std::rethrow_exception(failure_);
    if (status == ARCHIVE_OK) return;
    const char* reason = archive_error_string(archive_.get());
    throw Error(fmt::format("{}: cannot write the tar: {}", path_.string(),
                            reason != nullptr ? reason : "unknown error"));
  }

  struct Free {
    void operator()(archive* writer) const { archive_write_free(writer); }
  };

  std::filesystem::path path_;
  std::exception_ptr failure_;
  bool discarding_ = false;
  AtomicFile file_;
  ShardIndex index_;
  std::unique_ptr<archive, Free> archive_;
};

ShardWriter::ShardWriter(Options options) : options_(std::move(options)) {
  if (!options_.complete_shards && std::filesystem::exists(shard_path(0))) {
    throw UserError(
        "{}: the folder already holds shards ({}); expected a folder without, name another or "
        "remove them",
        options_.folder.string(), shard_path(0).filename().string());
  }
  for (std::size_t i = 0; i < options_.complete_shards.value_or(0); ++i) {
    shards_.push_back(shard_path(i));
  }
}

ShardWriter::~ShardWriter() = default;

std::filesystem::path ShardWriter::shard_path(std::size_t number) const {
  const std::string prefix = options_.prefix.empty() ? "" : options_.prefix + "-";
  return options_.folder / fmt::format("{}{:06}.tar", prefix, number);
}

std::optional<std::string> ShardWriter::problem_with(const std::string& key,
                                                     std::span<const MemberView> members) const {
  if (members.empty()) return key + ": a sample without members";
  if (!is_utf8(key)) return key + ": the key of a sample is not UTF-8";
  if (keys_.contains(key)) return key + ": two samples of this key";
  for (const MemberView& member : members) {
    const auto same = [&](const MemberView& other) { return other.suffix == member.suffix; };
    if (std::ranges::count_if(members, same) > 1) {
      return fmt::format("{}: two members '{}' of one sample", key, member.suffix);
    }
    const std::string name = fmt::format("{}.{}", key, member.suffix);
    const auto split = split_member_name(name);
    if (name.find('\0') != std::string::npos || !split || split->key != key ||
        split->suffix != member.suffix || split->suffix.empty()) {
      return fmt::format(
          "{}: would not be read back as key '{}' and suffix '{}'; expected a key without a dot in "
          "its last part and a lower-case suffix",
          name, key, member.suffix);
    }
  }
  return std::nullopt;
}

void ShardWriter::write(const std::string& key, std::span<const MemberView> members) {
  if (const auto problem = problem_with(key, members)) throw UserError("{}", *problem);
  if (!shard_) shard_ = std::make_unique<OpenShard>(shard_path(shards_.size()));
  shard_->begin_sample(key);
  for (const MemberView& member : members) shard_->write(member.suffix, member.bytes);
  keys_.insert(key);
  if (shard_->sample_count() >= options_.max_samples || shard_->size() >= options_.max_bytes)
    finish();
}

void ShardWriter::finish() {
  if (!shard_) return;
  shard_->commit();
  shards_.push_back(shard_->path());
  shard_.reset();
}

}  // namespace crescendo::dataloader
