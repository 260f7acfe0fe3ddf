#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataloader/shard_source.h"

struct archive;

namespace crescendo::dataloader {

struct TarMember {
  std::string name;          ///< raw bytes, as stored
  std::uint64_t size = 0;    ///< bytes
  std::uint64_t offset = 0;  ///< of the first data byte in the (decompressed) archive
};

/// The regular files of one tar archive (ustar, PAX or GNU; plain, gzip or zstd), front to back.
/// Folders, links and devices are passed over. Strict where libarchive alone is not: a cut at any
/// byte, a damaged header, a missing end-of-archive mark, data after it, a sparse member and a
/// wrong checksum of the compression are each a DataError that names archive, member and offset.
/// After an error the reader must not be used again.
class TarReader {
 public:
  /// `path` may be all that open_shard knows: a file, pipe:COMMAND or -.
  explicit TarReader(const std::filesystem::path& path,
                     std::chrono::seconds pipe_timeout = kPipeTimeout);
  /// `bytes` must outlive the reader; `name` stands for the path in errors.
  TarReader(std::span<const std::byte> bytes, std::string name);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next member, or nothing at the checked end of the archive, and from then on.
  std::optional<TarMember> next();

  /// All bytes of the member that next() gave last. Memory grows with what is really there, not
  /// with the size that the header claims. Once per member.
  std::vector<std::byte> read();

  const std::string& name() const { return name_; }

 private:
  struct Feed;
  TarReader(std::unique_ptr<Feed> feed, std::string name);

  void finish_member();
  void check_end() const;
  [[noreturn]] void fail(std::string_view what) const;
  [[noreturn]] void fail_with_reason() const;

  std::string name_;
  std::unique_ptr<Feed> feed_;
  archive* archive_;
  TarMember member_;
  bool in_member_ = false;
  bool ended_ = false;
  std::uint64_t end_of_members_ = 0;
};

}  // namespace crescendo::dataloader
