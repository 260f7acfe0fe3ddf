#include "dataloader/exif.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/text.h"

namespace crescendo::dataloader {

namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShortType = 3;
constexpr std::size_t kEntrySize = 12;
constexpr std::uint32_t kExifDirectoryTag = 0x8769;
constexpr std::uint32_t kUserCommentTag = 0x9286;
constexpr std::uint32_t kLongType = 4;
constexpr std::uint32_t kUndefinedType = 7;
constexpr std::string_view kUnicodeCode{"UNICODE\0", 8};  // of a UserComment

/// Bounds-checked integers of either byte order.
class TiffBytes {
 public:
  TiffBytes(std::span<const std::byte> bytes, bool little) : bytes_(bytes), little_(little) {}

  std::optional<std::uint32_t> integer(std::size_t offset, std::size_t width) const {
    if (offset > bytes_.size() || bytes_.size() - offset < width) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t at = little_ ? offset + width - 1 - i : offset + i;
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[at]);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool little_;
};

/// Where the entry of a directory is that has the tag.
std::optional<std::size_t> find_entry(const TiffBytes& bytes, std::size_t directory,
                                      std::uint32_t tag) {
  const std::size_t count = bytes.integer(directory, 2).value_or(0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t entry = directory + 2 + i * kEntrySize;
    const auto found = bytes.integer(entry, 2);
    if (!found) break;
    if (*found == tag) return entry;
  }
  return std::nullopt;
}

/// Appends big-endian integers.
void append(std::vector<std::byte>& bytes, std::uint32_t value, std::size_t width) {
  for (std::size_t i = width; i-- > 0;) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

/// A directory of one entry, and no other after it.
void append_directory(std::vector<std::byte>& bytes, std::uint32_t tag, std::uint32_t type,
                      std::uint32_t count, std::uint32_t value) {
  append(bytes, 1, 2);
  append(bytes, tag, 2);
  append(bytes, type, 2);
  append(bytes, count, 4);
  append(bytes, value, 4);
  append(bytes, 0, 4);
}

/// UTF-16, big-endian, of well-formed UTF-8.
std::vector<std::byte> to_utf16(std::string_view text) {
  std::vector<std::byte> units;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t j = i + 1; j < std::min(i + length, text.size()); ++j) {
      point = point << 6 | (static_cast<std::uint8_t>(text[j]) & 0x3FU);
    }
    i += length;
    if (point < 0x10000) {
      append(units, point, 2);
    } else {
      append(units, 0xD800 + ((point - 0x10000) >> 10), 2);
      append(units, 0xDC00 + ((point - 0x10000) & 0x3FF), 2);
    }
  }
  return units;
}

void append_utf8(std::string& text, std::uint32_t point) {
  constexpr std::array<std::uint32_t, 4> kLeads{0, 0xC0, 0xE0, 0xF0};
  const std::size_t more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  text += static_cast<char>(kLeads[more] | point >> (6 * more));
  for (std::size_t i = more; i-- > 0;) {
    text += static_cast<char>(0x80 | (point >> (6 * i) & 0x3F));
  }
}

/// UTF-8 of UTF-16 in the byte order of `units`; U+FFFD for a surrogate that stands alone.
std::string from_utf16(const TiffBytes& units) {
  std::string text;
  for (std::size_t i = 0; const auto unit = units.integer(i, 2); i += 2) {
    std::uint32_t point = *unit;
    if (point >= 0xD800 && point < 0xE000) {
      const std::uint32_t low = units.integer(i + 2, 2).value_or(0);
      const bool is_pair = point < 0xDC00 && low >= 0xDC00 && low < 0xE000;
      point = is_pair ? 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
      if (is_pair) i += 2;
    }
    append_utf8(text, point);
  }
  return text;
}

std::span<const std::byte> without_prefix(std::span<const std::byte> exif) {
  constexpr std::array kPrefix{std::byte{'E'}, std::byte{'x'}, std::byte{'i'},
                               std::byte{'f'}, std::byte{0},   std::byte{0}};
  const bool prefixed =
      exif.size() >= kPrefix.size() && std::ranges::equal(exif.first(kPrefix.size()), kPrefix);
  return prefixed ? exif.subspan(kPrefix.size()) : exif;
}

/// How an image becomes upright: mirrored, then rows and columns exchanged.
struct Turn {
  explicit Turn(int orientation)
      : transposed(orientation >= 5 && orientation <= 8),
        mirror_x(orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8),
        mirror_y(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {}

  bool transposed;
  bool mirror_x;
  bool mirror_y;
};

/// The window after the image around it was mirrored.
Window mirrored(Window window, Size whole, const Turn& turn) {
  if (turn.mirror_x) window.left = whole.width - window.left - window.size.width;
  if (turn.mirror_y) window.top = whole.height - window.top - window.size.height;
  return window;
}

Window transposed(const Window& window) {
  return {window.top, window.left, {window.size.height, window.size.width}};
}

}  // namespace

int exif_orientation(std::span<const std::byte> exif) {
  const std::span<const std::byte> tiff = without_prefix(exif);
  if (tiff.size() < 8) return 1;
  const TiffBytes bytes(tiff, tiff[0] == std::byte{'I'});
  const auto entry = find_entry(bytes, bytes.integer(4, 4).value_or(0), kOrientationTag);
  if (!entry || bytes.integer(*entry + 2, 2) != kShortType) return 1;
  const std::uint32_t value = bytes.integer(*entry + 8, 2).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

std::string exif_comment(std::span<const std::byte> exif) {
  const std::span<const std::byte> tiff = without_prefix(exif);
  if (tiff.size() < 8) return "";
  const bool is_little = tiff[0] == std::byte{'I'};
  const TiffBytes bytes(tiff, is_little);
  const auto pointer = find_entry(bytes, bytes.integer(4, 4).value_or(0), kExifDirectoryTag);
  const auto directory = pointer ? bytes.integer(*pointer + 8, 4) : std::nullopt;
  const auto entry = directory ? find_entry(bytes, *directory, kUserCommentTag) : std::nullopt;
  if (!entry) return "";
  const std::size_t size = bytes.integer(*entry + 4, 4).value_or(0);
  const auto offset = bytes.integer(*entry + 8, 4);
  if (size < kUnicodeCode.size() || !offset || *offset > tiff.size()) return "";
  if (tiff.size() - *offset < size) return "";
  const auto content = tiff.subspan(*offset + kUnicodeCode.size(), size - kUnicodeCode.size());
  const auto code = tiff.subspan(*offset, kUnicodeCode.size());
  std::string text;
  if (std::ranges::equal(code, std::as_bytes(std::span(kUnicodeCode)))) {
    text = from_utf16(TiffBytes(content, is_little));
  } else {
    text.assign(reinterpret_cast<const char*>(content.data()), content.size());
    if (!is_utf8(text)) return "";
  }
  return text.substr(0, text.find('\0'));
}

std::vector<std::byte> exif_with_comment(std::string_view text) {
  constexpr std::uint32_t kHeader = 8;
  constexpr std::uint32_t kDirectory = 2 + kEntrySize + 4;
  const std::vector<std::byte> units = to_utf16(text);
  std::vector<std::byte> bytes{std::byte{'M'}, std::byte{'M'}};  // big-endian
  append(bytes, 42, 2);
  append(bytes, kHeader, 4);
  append_directory(bytes, kExifDirectoryTag, kLongType, 1, kHeader + kDirectory);
  append_directory(bytes, kUserCommentTag, kUndefinedType,
                   static_cast<std::uint32_t>(kUnicodeCode.size() + units.size()),
                   kHeader + 2 * kDirectory);
  const auto code = std::as_bytes(std::span(kUnicodeCode));
  bytes.insert(bytes.end(), code.begin(), code.end());
  bytes.insert(bytes.end(), units.begin(), units.end());
  return bytes;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const Turn turn(orientation);
  const Size size = turned({image.width, image.height}, orientation);
  Image upright{size.width, size.height, std::vector<std::uint8_t>(image.pixels.size())};
  std::uint8_t* out = upright.pixels.data();
  for (std::int64_t y = 0; y < upright.height; ++y) {
    for (std::int64_t x = 0; x < upright.width; ++x, out += 3) {
      const std::int64_t column = turn.transposed ? y : x;
      const std::int64_t row = turn.transposed ? x : y;
      const std::int64_t source_x = turn.mirror_x ? image.width - 1 - column : column;
      const std::int64_t source_y = turn.mirror_y ? image.height - 1 - row : row;
      std::copy_n(image.pixels.data() + (source_y * image.width + source_x) * 3, 3, out);
    }
  }
  return upright;
}

ImagePart apply_orientation(ImagePart part, int orientation) {
  const Turn turn(orientation);
  const Size stored{part.image.width, part.image.height};
  Window window = mirrored({part.left, part.top, stored}, part.whole, turn);
  if (turn.transposed) window = transposed(window);
  return {apply_orientation(std::move(part.image), orientation), window.left, window.top,
          turned(part.whole, orientation)};
}

Size turned(Size size, int orientation) {
  return Turn(orientation).transposed ? Size{size.height, size.width} : size;
}

Window stored_window(const Window& upright, Size stored, int orientation) {
  const Turn turn(orientation);
  return mirrored(turn.transposed ? transposed(upright) : upright, stored, turn);
}

}  // namespace crescendo::dataloader
