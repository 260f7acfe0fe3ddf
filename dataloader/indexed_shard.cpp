#include "dataloader/indexed_shard.h"

#include <string>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "dataloader/plain_file.h"

namespace crescendo::dataloader {

IndexedShard::IndexedShard(std::filesystem::path shard, std::uint64_t max_sample_bytes,
                           OpenFiles& files, std::uint64_t number)
    : shard_(std::move(shard)),
      max_sample_bytes_(max_sample_bytes),
      files_(files),
      number_(number),
      shard_bytes_(PlainFile(shard_).size()) {
  const std::filesystem::path path = index_path(shard_);
  const std::optional<std::uint64_t> promised = indexed_sample_count(shard_);
  if (!promised) throw DataError("{}: expected the index of this shard", path.string());
  const std::string text = read_file(path);
  for (std::size_t end = text.find('\n'); end != std::string::npos;
       end = text.find('\n', end + 1)) {
    lines_.push_back(end + 1);
  }
  if (lines_.size() != *promised + 1 || lines_.back() != text.size()) {
    throw DataError(
        "{}: expected {} samples, found {}; make the index anew: crescendo index "
        "--force {}",
        path.string(), *promised, lines_.empty() ? 0 : lines_.size() - 1, shard_.string());
  }
}

RawSample IndexedShard::read(std::uint64_t number) const {
  const std::filesystem::path path = index_path(shard_);
  IndexedSample sample;
  try {
    // Without the line's end.
    std::string line(lines_.at(number + 1) - lines_.at(number) - 1, '\0');
    const auto index = files_.get(2 * number_ + 1, path);
    index->read(lines_[number], std::as_writable_bytes(std::span(line)));
    const std::string where = fmt::format("{}: line {}", path.string(), number + 2);
    sample = parse_index_line(line, where, shard_bytes_);
  } catch (const UserError& failure) {
    return {"", shard_.string(), {}, Defect{"damaged shard", failure.what()}};
  }
  return read_indexed_sample(shard_, sample, max_sample_bytes_, files_, 2 * number_);
}

RawSample read_indexed_sample(const std::filesystem::path& shard, const IndexedSample& sample,
                              std::uint64_t max_sample_bytes, OpenFiles& files,
                              std::uint64_t number) {
  RawSample raw{sample.key, shard.string(), {}, {}};
  try {
    const auto file = files.get(number, shard);
    for (const IndexedMember& member : sample.members) {
      const std::string name = sample.key + "." + member.suffix;
      raw.defect = defect_of_member(raw, member.suffix, name, member.size, max_sample_bytes);
      if (raw.defect) break;
      std::vector<std::byte> bytes(member.size);
      file->read(member.offset, bytes);
      if (crc32_of(bytes) != member.crc32) {
        throw DataError(
            "{}: '{}' at byte {} is not what its index tells (CRC-32); the shard is changed or "
            "damaged, copy or index it again",
            shard.string(), name, member.offset);
      }
      raw.members.push_back({member.suffix, std::move(bytes)});
    }
  } catch (const UserError& failure) {
    raw.defect = Defect{"damaged shard", failure.what()};
  }
  if (raw.defect) raw.members.clear();
  return raw;
}

}  // namespace crescendo::dataloader
