#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"

namespace crescendo {

namespace {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

// In the order of the reference's enumeration, which is the order of the writer, last first.
constexpr std::array<std::pair<std::string_view, std::size_t>, 17> kElementSizes = {{
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"F8_E5M2", 1},
    {"F8_E4M3", 1},
    {"F8_E8M0", 1},
    {"I16", 2},
    {"U16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"I32", 4},
    {"U32", 4},
    {"F32", 4},
    {"C64", 8},
    {"F64", 8},
    {"I64", 8},
    {"U64", 8},
}};

/// Index into kElementSizes; its size for an unknown name.
std::size_t dtype_rank(std::string_view dtype) {
  const auto* found = std::find_if(kElementSizes.begin(), kElementSizes.end(),
                                   [&](const auto& known) { return known.first == dtype; });
  return static_cast<std::size_t>(found - kElementSizes.begin());
}

/// The format forbids a key twice in one object; nlohmann would keep the last.
class DuplicateKeys {
 public:
  bool operator()(int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::key &&
        !open_.back().insert(parsed.get<std::string>()).second) {
      found_ = parsed.get<std::string>();
    }
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    return true;
  }
  const std::string& found() const { return found_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string found_;
};

Json parse_header_json(std::string_view text, std::string_view where) {
  if (!is_utf8(text)) throw DataError("{}: the header is not UTF-8", where);
  DuplicateKeys duplicates;
  Json header = Json::parse(text, std::ref(duplicates), /*allow_exceptions=*/false);
  // The parser passes over a byte order mark and stops at a NUL; the format knows neither.
  const bool padded = text.starts_with("\xEF\xBB\xBF") || text.find('\0') != std::string_view::npos;
  if (header.is_discarded() || padded) throw DataError("{}: the header is not valid JSON", where);
  if (!header.is_object()) {
    throw DataError("{}: the header is JSON of the wrong kind; expected an object, found {}", where,
                    header.type_name());
  }
  if (!duplicates.found().empty()) {
    throw DataError("{}: the header names '{}' twice in one object", where, duplicates.found());
  }
  return header;
}

std::map<std::string, std::string> parse_metadata(const Json& value, std::string_view where) {
  std::map<std::string, std::string> metadata;
  if (value.is_null()) return metadata;
  if (!value.is_object()) throw DataError("{}: __metadata__ is not an object", where);
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      throw DataError("{}: __metadata__ '{}': expected a string, found {}", where, key,
                      text.type_name());
    }
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

/// `value` as an array of unsigned integers, or DataError.
std::vector<std::uint64_t> parse_unsigned_list(const Json& value, std::string_view what,
                                               std::string_view where) {
  const bool good = value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& n) {
                      return n.is_number_unsigned();
                    });
  if (!good) {
    throw DataError("{}: {}: expected a list of non-negative integers, found {}", where, what,
                    value.dump());
  }
  return value.get<std::vector<std::uint64_t>>();
}

/// Bytes of a tensor, or DataError when the product leaves 64 bits.
std::uint64_t byte_count(const SafetensorsEntry& entry, std::string_view where) {
  std::uint64_t bytes = safetensors_element_size(entry.dtype);
  for (const std::int64_t dimension : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dimension), &bytes)) {
      throw DataError("{}: tensor '{}': its shape overflows 64 bits", where, entry.name);
    }
  }
  return bytes;
}

SafetensorsEntry parse_entry(const std::string& name, const Json& value, std::string_view where) {
  if (!value.is_object()) throw DataError("{}: tensor '{}': expected an object", where, name);
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(field)) throw DataError("{}: tensor '{}': no '{}'", where, name, field);
  }
  SafetensorsEntry entry{.name = name, .dtype = "", .shape = {}};
  const Json& dtype = value["dtype"];
  if (!dtype.is_string() || safetensors_element_size(dtype.get<std::string>()) == 0) {
    throw DataError("{}: tensor '{}': dtype {} is unknown", where, name, dtype.dump());
  }
  entry.dtype = dtype.get<std::string>();
  const std::string what = "tensor '" + name + "'";
  for (const std::uint64_t dimension :
       parse_unsigned_list(value["shape"], what + ": shape", where)) {
    if (dimension > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw DataError("{}: tensor '{}': its shape overflows 64 bits", where, name);
    }
    entry.shape.push_back(static_cast<std::int64_t>(dimension));
  }
  const auto offsets = parse_unsigned_list(value["data_offsets"], what + ": data_offsets", where);
  if (offsets.size() != 2) {
    throw DataError("{}: tensor '{}': data_offsets: expected 2 numbers, found {}", where, name,
                    offsets.size());
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

/// The tensors must tile the bytes after the header: no hole, no overlap, nothing left over.
void check_layout(const SafetensorsHeader& header, std::uint64_t file_size,
                  std::string_view where) {
  std::uint64_t expected_begin = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != expected_begin || entry.end < entry.begin) {
      throw DataError(
          "{}: tensor '{}': its bytes [{}, {}) leave a hole or overlap; expected them to begin at "
          "{}",
          where, entry.name, entry.begin, entry.end, expected_begin);
    }
    const std::uint64_t bytes = byte_count(entry, where);
    if (entry.end - entry.begin != bytes) {
      throw DataError("{}: tensor '{}': its shape and dtype need {} bytes, its offsets hold {}",
                      where, entry.name, bytes, entry.end - entry.begin);
    }
    expected_begin = entry.end;
  }
  const std::uint64_t available = file_size - header.data_offset;
  if (expected_begin != available) {
    throw DataError("{}: the header describes {} bytes of tensors, the file holds {}{}", where,
                    expected_begin, available,
                    available < expected_begin ? " (it was cut short)" : "");
  }
}

}  // namespace

std::size_t safetensors_element_size(std::string_view dtype) {
  const std::size_t rank = dtype_rank(dtype);
  return rank == kElementSizes.size() ? 0 : kElementSizes[rank].second;
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < kLengthBytes) {
    throw DataError("{}: not a safetensors file: {} bytes, expected at least {}", where,
                    file.size(), kLengthBytes);
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    throw DataError("{}: not a safetensors file: header of {} bytes, expected at most {}", where,
                    length, kMaxHeaderBytes);
  }
  if (length > file.size() - kLengthBytes) {
    throw DataError("{}: header of {} bytes in a file of {} (it was cut short)", where, length,
                    file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const Json json = parse_header_json(text, where);
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      header.metadata = parse_metadata(value, where);
    } else {
      header.entries.push_back(parse_entry(name, value, where));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_layout(header, file.size(), where);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), file_(path), header_(parse_safetensors(file_.bytes(), path.string())) {}

std::span<const std::byte> SafetensorsFile::bytes(const SafetensorsEntry& entry) const {
  return file_.bytes().subspan(header_.data_offset + entry.begin, entry.end - entry.begin);
}

void SafetensorsFile::release(const SafetensorsEntry& entry) const { file_.release(bytes(entry)); }

namespace {

std::uint64_t byte_count(const SafetensorsStream& stream, std::string_view where) {
  return byte_count(
      SafetensorsEntry{.name = stream.name, .dtype = stream.dtype, .shape = stream.shape}, where);
}

/// Length and JSON of the header, padded.
std::string header_of(const std::vector<SafetensorsStream>& streams,
                      const std::map<std::string, std::string>& metadata, std::string_view where) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const SafetensorsStream& stream : streams) {
    const std::uint64_t end = offset + byte_count(stream, where);
    header[stream.name] = {
        {"dtype", stream.dtype}, {"shape", stream.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw UserError("{}: the header would take {} bytes; the format allows {}", where, text.size(),
                    kMaxHeaderBytes);
  }
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), kLengthBytes) + text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsItem> items,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsStream> streams;
  for (SafetensorsItem& item : items) {
    streams.push_back({.name = std::move(item.name),
                       .dtype = std::move(item.dtype),
                       .shape = std::move(item.shape),
                       .produce = [bytes = item.bytes](const ByteSink& sink) { sink(bytes); }});
  }
  write_safetensors_streams(path, std::move(streams), metadata);
}

void write_safetensors_streams(const std::filesystem::path& path,
                               std::vector<SafetensorsStream> streams,
                               const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  serialize_safetensors(std::move(streams), metadata, path.string(),
                        [&file](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

void serialize_safetensors(std::vector<SafetensorsStream> streams,
                           const std::map<std::string, std::string>& metadata,
                           std::string_view where, const ByteSink& sink) {
  std::sort(streams.begin(), streams.end(), [](const auto& a, const auto& b) {
    const std::size_t rank_a = dtype_rank(a.dtype);
    const std::size_t rank_b = dtype_rank(b.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
  const std::string header = header_of(streams, metadata, where);
  sink(std::as_bytes(std::span(header.data(), header.size())));
  for (const SafetensorsStream& stream : streams) {
    std::uint64_t given = 0;
    stream.produce([&](std::span<const std::byte> bytes) {
      given += bytes.size();
      sink(bytes);
    });
    if (const std::uint64_t expected = byte_count(stream, where); given != expected) {
      throw Error(fmt::format("{}: tensor '{}': its shape and dtype need {} bytes, {} were given",
                              where, stream.name, expected, given));
    }
  }
}

}  // namespace crescendo
