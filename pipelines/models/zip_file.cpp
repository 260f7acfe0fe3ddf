#include "pipelines/models/zip_file.h"

#include <memory>
#include <vector>

#include <archive.h>
#include <archive_entry.h>

#include "core/atomic_file.h"
#include "core/error.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kReadStep = 1 << 20;
constexpr std::size_t kMaxMember = std::size_t{1} << 32;  // what deflates to more is an attack
constexpr std::time_t kFirstDay = 315'532'800;            // 1980, the first that zip can tell

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;
using Writer = std::unique_ptr<archive, decltype(&archive_write_free)>;
using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

[[noreturn]] void fail(archive* reader, const fs::path& file, const std::string& member) {
  const char* reason = archive_error_string(reader);
  throw DataError("{}: {}{}expected a zip archive, found: {}", file.string(), member,
                  member.empty() ? "" : ": ", reason == nullptr ? "something else" : reason);
}

std::string read_member(archive* reader, const fs::path& file, const std::string& name) {
  std::string bytes;
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kReadStep);
    const la_ssize_t count = archive_read_data(reader, bytes.data() + before, kReadStep);
    if (count < 0) fail(reader, file, name);
    bytes.resize(before + static_cast<std::size_t>(count));
    if (count == 0) return bytes;
    if (bytes.size() > kMaxMember) {
      throw DataError("{}: {}: expected at most {} bytes, found more", file.string(), name,
                      kMaxMember);
    }
  }
}

la_ssize_t append(archive* /*writer*/, void* to, const void* bytes, std::size_t count) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), count);
  return static_cast<la_ssize_t>(count);
}

void must(int status, archive* writer) {
  if (status != ARCHIVE_OK) throw Error(fmt::format("zip: {}", archive_error_string(writer)));
}

}  // namespace

ZipMembers read_zip(const fs::path& file,
                    const std::function<bool(std::string_view name)>& wanted) {
  if (!fs::is_regular_file(file)) throw UserError("{}: is no file, or not there", file.string());
  const Reader reader(archive_read_new(), archive_read_free);
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_filename(reader.get(), file.c_str(), kReadStep) != ARCHIVE_OK) {
    fail(reader.get(), file, "");
  }
  ZipMembers members;
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) return members;
    if (status != ARCHIVE_OK) fail(reader.get(), file, "");
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || !wanted(name)) continue;
    const std::string key = name;
    if (members.contains(key)) throw DataError("{}: {} is in it twice", file.string(), key);
    members[key] = read_member(reader.get(), file, key);
  }
}

void write_zip(const fs::path& file, const ZipMembers& members) {
  std::string bytes;
  const Writer writer(archive_write_new(), archive_write_free);
  must(archive_write_set_format_zip(writer.get()), writer.get());
  must(archive_write_zip_set_compression_store(writer.get()), writer.get());
  must(archive_write_set_bytes_in_last_block(writer.get(), 1), writer.get());
  must(archive_write_open(writer.get(), &bytes, nullptr, append, nullptr), writer.get());
  for (const auto& [name, content] : members) {
    const Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), kFirstDay, 0);
    must(archive_write_header(writer.get(), entry.get()), writer.get());
    if (archive_write_data(writer.get(), content.data(), content.size()) < 0) {
      throw Error(fmt::format("zip: {}", archive_error_string(writer.get())));
    }
  }
  must(archive_write_close(writer.get()), writer.get());
  write_file_atomically(file, bytes);
}

}  // namespace crescendo::pipelines
