#include "dataloader/exif.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace crescendo::dataloader {

namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShortType = 3;
constexpr std::size_t kEntrySize = 12;
constexpr std::uint32_t kExifDirectoryTag = 0x8769;
constexpr std::uint32_t kUserCommentTag = 0x9286;
constexpr std::uint32_t kLongType = 4;
constexpr std::uint32_t kUndefinedType = 7;

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
  const std::size_t directory = bytes.integer(4, 4).value_or(0);
  const std::size_t count = bytes.integer(directory, 2).value_or(0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t entry = directory + 2 + i * kEntrySize;
    const auto tag = bytes.integer(entry, 2);
    if (!tag) return 1;
    if (*tag != kOrientationTag) continue;
    if (bytes.integer(entry + 2, 2) != kShortType) return 1;
    const std::uint32_t value = bytes.integer(entry + 8, 2).value_or(1);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

std::vector<std::byte> exif_with_comment(std::string_view text) {
  constexpr std::string_view kCode{"UNICODE\0", 8};
  constexpr std::uint32_t kHeader = 8;
  constexpr std::uint32_t kDirectory = 2 + kEntrySize + 4;
  const std::vector<std::byte> units = to_utf16(text);
  std::vector<std::byte> bytes{std::byte{'M'}, std::byte{'M'}};  // big-endian
  append(bytes, 42, 2);
  append(bytes, kHeader, 4);
  append_directory(bytes, kExifDirectoryTag, kLongType, 1, kHeader + kDirectory);
  append_directory(bytes, kUserCommentTag, kUndefinedType,
                   static_cast<std::uint32_t>(kCode.size() + units.size()),
                   kHeader + 2 * kDirectory);
  const auto code = std::as_bytes(std::span(kCode));
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
