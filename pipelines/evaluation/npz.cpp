#include "pipelines/evaluation/npz.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/text.h"
#include "pipelines/models/zip_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kAlignment = 64;
constexpr std::string_view kSuffix = ".npy";
constexpr std::size_t kSmall = 1 << 20;  // elements, which may be more than there are bytes

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 8> kTypes{{{"<f8", at::kDouble},
                                                                             {"<f4", at::kFloat},
                                                                             {"<f2", at::kHalf},
                                                                             {"<i8", at::kLong},
                                                                             {"<i4", at::kInt},
                                                                             {"<i2", at::kShort},
                                                                             {"|i1", at::kChar},
                                                                             {"|u1", at::kByte}}};

/// What stands behind `'key':` in the dictionary that is a header, up to its end.
std::string_view value_of(std::string_view header, std::string_view key, const std::string& where) {
  const std::string quoted = fmt::format("'{}':", key);
  const std::size_t at = header.find(quoted);
  if (at == std::string_view::npos) {
    throw DataError("{}: the header has no '{}': {}", where, key, trim(header));
  }
  return trim(header.substr(at + quoted.size()));
}

at::ScalarType type_of(std::string_view header, const std::string& where) {
  const std::string_view text = value_of(header, "descr", where);
  std::vector<std::string_view> known;
  for (const auto& [name, type] : kTypes) {
    if (text.starts_with(fmt::format("'{}'", name))) return type;
    known.push_back(name);
  }
  throw DataError("{}: expected elements of type {}, found {}", where, fmt::join(known, ", "),
                  text.substr(0, text.find(',')));
}

/// "(2048, 3), ..." -> {2048, 3}, of at most so many elements, sides of 0 not counted.
std::vector<std::int64_t> shape_of(std::string_view header, std::size_t most,
                                   const std::string& where) {
  std::string_view text = value_of(header, "shape", where);
  const std::size_t end = text.find(')');
  const std::string_view whole = text.substr(0, std::min(end, text.size() - 1) + 1);
  const auto malformed = [&] {
    return DataError("{}: expected a shape like (2048, 2048), found {}", where, whole);
  };
  if (!text.starts_with('(') || end == std::string_view::npos) throw malformed();
  text = text.substr(1, end - 1);
  std::vector<std::int64_t> shape;
  std::size_t elements = 1;
  while (!trim(text).empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = trim(text.substr(0, comma));
    std::int64_t side = -1;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), side);
    if (error != std::errc() || stop != word.data() + word.size() || side < 0) throw malformed();
    const auto length = static_cast<std::size_t>(std::max<std::int64_t>(side, 1));
    if (elements > most / length) {
      throw DataError("{}: expected no more elements than the file has bytes, found shape {}",
                      where, whole);
    }
    elements *= length;
    shape.push_back(side);
    text = text.substr(std::min(comma + 1, text.size()));
  }
  return shape;
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8U | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string serialize_npy(const at::Tensor& array) {
  const at::Tensor values = array.to(at::kCPU).contiguous();
  const auto* type = std::ranges::find(kTypes, values.scalar_type(),
                                       &std::pair<std::string_view, at::ScalarType>::second);
  if (type == kTypes.end()) throw Error("npy: a type of tensor that NumPy does not have");
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type->first,
                  fmt::join(values.sizes(), ", "), values.dim() == 1 ? "," : "");
  const std::size_t front = kMagic.size() + 4;  // version 1.0 and 16 bits of length
  header.resize((front + header.size() + kAlignment) / kAlignment * kAlignment - front, ' ');
  header.back() = '\n';
  std::string bytes(kMagic);
  bytes += {'\x01', '\x00', static_cast<char>(header.size() & 0xFFU),
            static_cast<char>(header.size() >> 8U)};
  bytes += header;
  bytes.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  return bytes;
}

}  // namespace

at::Tensor parse_npy(std::string_view bytes, const std::string& where) {
  const std::size_t front = kMagic.size() + 2;
  if (!bytes.starts_with(kMagic) || bytes.size() < front + 4) {
    throw DataError("{}: expected a NumPy array (.npy), found other bytes", where);
  }
  const std::size_t width = bytes[kMagic.size()] == '\x01' ? 2 : 4;
  const std::uint64_t length = little_endian(bytes.substr(front, width));
  if (length > bytes.size() - front - width) {
    throw DataError("{}: the header ends behind the file", where);
  }
  const std::string_view header = bytes.substr(front + width, length);
  const std::string_view data = bytes.substr(front + width + length);
  const at::ScalarType type = type_of(header, where);
  std::vector<std::int64_t> shape = shape_of(header, std::max(data.size(), kSmall), where);
  const bool fortran = value_of(header, "fortran_order", where).starts_with("True");
  if (fortran) std::ranges::reverse(shape);
  at::Tensor array = at::empty(shape, type);
  if (array.nbytes() != data.size()) {
    throw DataError("{}: expected {} bytes of elements, found {}", where, array.nbytes(),
                    data.size());
  }
  if (!data.empty()) std::memcpy(array.data_ptr(), data.data(), data.size());
  if (!fortran) return array;
  std::vector<std::int64_t> backwards;
  for (std::int64_t dim = array.dim(); dim-- > 0;) backwards.push_back(dim);
  return array.permute(backwards).contiguous();
}

Arrays read_npz(const fs::path& file, std::span<const std::string_view> names) {
  const auto name_of = [](std::string_view member) {
    return member.ends_with(kSuffix) ? member.substr(0, member.size() - kSuffix.size()) : member;
  };
  Arrays arrays;
  for (const auto& [member, bytes] : read_zip(file, [&](std::string_view member) {
         return std::ranges::find(names, name_of(member)) != names.end();
       })) {
    const std::string name(name_of(member));
    arrays[name] = parse_npy(bytes, fmt::format("{}: {}", file.string(), name));
  }
  return arrays;
}

void write_npz(const fs::path& file, const Arrays& arrays) {
  ZipMembers members;
  for (const auto& [name, array] : arrays) {
    members[name + std::string(kSuffix)] = serialize_npy(array);
  }
  write_zip(file, members);
}

}  // namespace crescendo::pipelines
