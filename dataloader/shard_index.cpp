#include "dataloader/shard_index.h"

#include <array>
#include <fstream>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "dataloader/plain_file.h"
#include "dataloader/sample_reader.h"

namespace crescendo::dataloader {

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kMaxLine = 1 << 20;

struct Header {
  std::uint64_t samples = 0;
  std::uint64_t shard_bytes = 0;
};

[[noreturn]] void fail(const std::string& where, std::string_view expected) {
  throw DataError("{}: expected {}; make the index anew: crescendo index --force SHARD", where,
                  expected);
}

std::uint64_t unsigned_of(const Json& value, const std::string& where, std::string_view what) {
  if (!value.is_number_unsigned()) fail(where, fmt::format("{} as a whole number from 0", what));
  return value.get<std::uint64_t>();
}

/// The object on a line, with exactly so many keys.
Json object_of(std::string_view line, const std::string& where, std::size_t keys) {
  if (line.size() > kMaxLine) fail(where, fmt::format("at most {} bytes", kMaxLine));
  Json object = Json::parse(line, nullptr, false);
  if (!object.is_object() || object.size() != keys) {
    fail(where, fmt::format("a JSON object of {} keys", keys));
  }
  return object;
}

const Json& value_of(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) fail(where, fmt::format("a key '{}'", key));
  return *found;
}

Header parse_header(std::string_view line, const std::string& where) {
  const Json object = object_of(line, where, 3);
  if (unsigned_of(value_of(object, "crescendo_index", where), where, "crescendo_index") !=
      kVersion) {
    fail(where, fmt::format("crescendo_index {}", kVersion));
  }
  return {unsigned_of(value_of(object, "samples", where), where, "samples"),
          unsigned_of(value_of(object, "shard_bytes", where), where, "shard_bytes")};
}

/// ["jpg",OFFSET,SIZE,CRC32], all of it behind byte `begin` of the shard and before its end.
IndexedMember parse_member(const Json& value, const std::string& where, std::uint64_t begin,
                           std::uint64_t shard_bytes) {
  if (!value.is_array() || value.size() != 4 || !value[0].is_string()) {
    fail(where, "each member as [SUFFIX, OFFSET, SIZE, CRC32]");
  }
  IndexedMember member{value[0].get<std::string>(), unsigned_of(value[1], where, "an offset"),
                       unsigned_of(value[2], where, "a size"), 0};
  const std::uint64_t crc = unsigned_of(value[3], where, "a CRC-32");
  if (crc > std::numeric_limits<std::uint32_t>::max()) fail(where, "a CRC-32 of 32 bits");
  member.crc32 = static_cast<std::uint32_t>(crc);
  if (member.offset < begin) fail(where, "members one behind the other");
  if (member.offset > shard_bytes || member.size > shard_bytes - member.offset) {
    fail(where, fmt::format("members within the {} bytes of the shard", shard_bytes));
  }
  return member;
}

/// The next line, off the front of `text`; a last one without its end is cut short.
std::string_view take_line(std::string_view& text, const std::string& where) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) fail(where, "a line with its end, the index is cut short");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

std::string line_of(const IndexedSample& sample) {
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  for (const IndexedMember& member : sample.members) {
    members.push_back({member.suffix, member.offset, member.size, member.crc32});
  }
  return nlohmann::ordered_json{{"key", sample.key}, {"members", std::move(members)}}.dump() + "\n";
}

}  // namespace

std::filesystem::path index_path(const std::filesystem::path& shard) {
  return shard.string() + ".index";
}

IndexedSample parse_index_line(std::string_view line, const std::string& where,
                               std::uint64_t shard_bytes) {
  const Json object = object_of(line, where, 2);
  const Json& key = value_of(object, "key", where);
  const Json& members = value_of(object, "members", where);
  if (!key.is_string() || key.get_ref<const std::string&>().empty()) fail(where, "a key");
  if (!members.is_array() || members.empty()) fail(where, "a list of members");
  IndexedSample sample{key.get<std::string>(), {}};
  std::uint64_t begin = 0;
  for (const Json& value : members) {
    sample.members.push_back(parse_member(value, where, begin, shard_bytes));
    begin = sample.members.back().offset + sample.members.back().size;
  }
  return sample;
}

ShardIndex parse_shard_index(std::string_view text, const std::string& name,
                             std::uint64_t shard_bytes) {
  std::uint64_t number = 1;
  const auto where = [&] { return fmt::format("{}: line {}", name, number); };
  const Header header = parse_header(take_line(text, where()), where());
  if (header.shard_bytes != shard_bytes) {
    fail(where(),
         fmt::format("a shard of {} bytes, found one of {}", header.shard_bytes, shard_bytes));
  }
  ShardIndex index{{}, shard_bytes};
  std::uint64_t begin = 0;
  while (!text.empty()) {
    ++number;
    index.samples.push_back(parse_index_line(take_line(text, where()), where(), shard_bytes));
    const IndexedSample& sample = index.samples.back();
    if (sample.members.front().offset < begin) fail(where(), "samples one behind the other");
    begin = sample.members.back().offset + sample.members.back().size;
  }
  if (index.samples.size() != header.samples) {
    fail(name, fmt::format("{} samples, found {}", header.samples, index.samples.size()));
  }
  return index;
}

ShardIndex read_shard_index(const std::filesystem::path& shard) {
  const std::filesystem::path path = index_path(shard);
  return parse_shard_index(read_file(path), path.string(), PlainFile(shard).size());
}

std::optional<std::uint64_t> indexed_sample_count(const std::filesystem::path& shard) {
  const std::filesystem::path path = index_path(shard);
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::array<char, 256> buffer{};
  file.read(buffer.data(), buffer.size());
  std::string_view text(buffer.data(), static_cast<std::size_t>(file.gcount()));
  const std::string where = path.string() + ": line 1";
  const Header header = parse_header(take_line(text, where), where);
  const std::uint64_t size = PlainFile(shard).size();
  if (header.shard_bytes == size) return header.samples;
  log::warn(
      "{}: the index is of a shard of {} bytes, but {} has {}; it is not used, make it anew: "
      "crescendo index --force {}",
      path.string(), header.shard_bytes, shard.string(), size, shard.string());
  return std::nullopt;
}

void write_shard_index(const std::filesystem::path& shard, const ShardIndex& index) {
  AtomicFile file(index_path(shard));
  const nlohmann::ordered_json header = {{"crescendo_index", kVersion},
                                         {"samples", index.samples.size()},
                                         {"shard_bytes", index.shard_bytes}};
  file.write(header.dump() + "\n");
  for (const IndexedSample& sample : index.samples) file.write(line_of(sample));
  file.commit();
}

ShardIndex index_shard(const std::filesystem::path& shard) {
  const PlainFile file(shard);
  if (!file.compression().empty()) {
    throw DataError(
        "{}: compressed with {}, so its samples cannot be read at random; expected a plain tar",
        shard.string(), file.compression());
  }
  ShardIndex index{{}, file.size()};
  TarReader archive(shard);
  while (const std::optional<TarMember> member = archive.next()) {
    std::optional<MemberName> name = split_member_name(member->name);
    if (!name) continue;
    if (!is_utf8(member->name)) {
      throw DataError("{}: byte {}: the name of a member is not UTF-8, an index cannot hold it",
                      shard.string(), member->offset);
    }
    if (index.samples.empty() || index.samples.back().key != name->key) {
      index.samples.push_back({std::move(name->key), {}});
    }
    index.samples.back().members.push_back({std::move(name->suffix), member->offset, member->size,
                                            file.crc32(member->offset, member->size)});
  }
  return index;
}

}  // namespace crescendo::dataloader
