#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::dataloader {

// The index beside a plain tar shard, SHARD.index: where its samples are, so that they can be read
// at random. JSON lines, the first {"crescendo_index":1,"samples":N,"shard_bytes":B}, then one a
// sample: {"key":"a","members":[["jpg",OFFSET,SIZE,CRC32],...]}, in the order of the shard.

struct IndexedMember {
  std::string suffix;        ///< as split_member_name gives it
  std::uint64_t offset = 0;  ///< of the first data byte in the shard
  std::uint64_t size = 0;    ///< bytes
  std::uint32_t crc32 = 0;   ///< zlib's, of the data

  bool operator==(const IndexedMember&) const = default;
};

struct IndexedSample {
  std::string key;  ///< UTF-8
  std::vector<IndexedMember> members;

  bool operator==(const IndexedSample&) const = default;
};

struct ShardIndex {
  std::vector<IndexedSample> samples;
  std::uint64_t shard_bytes = 0;  ///< size of the shard, by which a stale index is known

  bool operator==(const ShardIndex&) const = default;
};

std::filesystem::path index_path(const std::filesystem::path& shard);

/// Indexes an existing shard, reading all of it. Samples are grouped as SampleReader does, those
/// with defects among them. Throws DataError as TarReader does, and for a compressed shard or a key
/// that is not UTF-8.
ShardIndex index_shard(const std::filesystem::path& shard);

/// Writes the index beside the shard, whole or not at all.
void write_shard_index(const std::filesystem::path& shard, const ShardIndex& index);

/// Throws DataError naming file and line when anything is not as described above or lies outside
/// the shard, and when the index is of a shard of another size.
ShardIndex read_shard_index(const std::filesystem::path& shard);

/// The same from memory; `name` stands for the file in errors.
ShardIndex parse_shard_index(std::string_view text, const std::string& name,
                             std::uint64_t shard_bytes);

/// The samples that the index of a shard promises, by its first line alone. Nothing when the shard
/// is not indexed, or, with a warning, when the index is of a shard of another size. Throws
/// DataError when the line is malformed.
std::optional<std::uint64_t> indexed_sample_count(const std::filesystem::path& shard);

/// One line of a sample, without its line end. `where` names file and line in errors.
IndexedSample parse_index_line(std::string_view line, const std::string& where,
                               std::uint64_t shard_bytes);

}  // namespace crescendo::dataloader
