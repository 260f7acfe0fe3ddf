#include "dataloader/decode_image.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataloader/decompress.h"
#include "dataloader/exif.h"
#include "dataloader/image_formats.h"

namespace crescendo::dataloader {

namespace {

constexpr std::string_view kGzip = "\x1F\x8B";

/// True when `magic` stands at `offset` of the bytes.
bool has_magic(std::span<const std::byte> bytes, std::string_view magic, std::size_t offset = 0) {
  if (bytes.size() < offset + magic.size()) return false;
  const auto front = bytes.subspan(offset, magic.size());
  return std::ranges::equal(front, std::as_bytes(std::span(magic)));
}

/// What the bytes are, for the message that refuses them.
std::string_view describe(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "no bytes";
  if (has_magic(bytes, "GIF8")) return "a GIF";
  if (has_magic(bytes, "BM")) return "a BMP";
  if (has_magic(bytes, "II*") || has_magic(bytes, "MM")) return "a TIFF";
  if (has_magic(bytes, "ftypavif", 4)) return "an AVIF";
  if (has_magic(bytes, "ftyphei", 4)) return "a HEIC";
  if (has_magic(bytes, "<")) return "HTML or XML";
  return "unknown bytes";
}

struct Format {
  StoredImage (*decode)(std::span<const std::byte>, const DecodeOptions&, const ChoosePart&);
  ImageHeader (*read_header)(std::span<const std::byte>);
  ImageText (*read_text)(std::span<const std::byte>);
};

Format format_of(std::span<const std::byte> bytes) {
  if (has_magic(bytes, "\xFF\xD8\xFF")) return {decode_jpeg, read_jpeg_header, read_jpeg_text};
  if (has_magic(bytes, "\x89PNG\r\n\x1A\n")) return {decode_png, read_png_header, read_png_text};
  if (has_magic(bytes, "RIFF") && has_magic(bytes, "WEBP", 8)) {
    return {decode_webp, read_webp_header, read_webp_text};
  }
  throw SampleError("unsupported image format",
                    fmt::format("expected JPEG, PNG or WebP, found {}", describe(bytes)));
}

/// The size of the content, less than 2^32, as the last four bytes of a gzip tell it.
std::uint64_t promised_size(std::span<const std::byte> gzip) {
  std::uint64_t size = 0;
  const auto trailer = gzip.last(std::min<std::size_t>(gzip.size(), 4));
  for (std::size_t i = 0; i < trailer.size(); ++i) {
    size |= std::to_integer<std::uint64_t>(trailer[i]) << (8 * i);
  }
  return size;
}

/// The content of a gzip-wrapped image, as some of ImageNet's are. A bomb is known by its size: no
/// image that a gzip makes a hundred times smaller is large.
std::vector<std::byte> unwrap(std::span<const std::byte> bytes, std::uint64_t max_bytes) {
  constexpr std::uint64_t kSmall = 1 << 20;
  const std::uint64_t promised = promised_size(bytes);
  const std::uint64_t limit = std::min(max_bytes, std::max(kSmall, 100 * bytes.size()));
  if (promised > limit) {
    throw SampleError("image too large",
                      fmt::format("{} bytes in a gzip of {}; at most {} are read", promised,
                                  bytes.size(), limit));
  }
  std::vector<std::byte> content;
  try {
    const std::unique_ptr<ByteSource> source = decompressed(open_memory(bytes), "gzip");
    std::vector<std::byte> chunk(1 << 16);
    while (const std::size_t count = source->read(chunk)) {
      content.insert(content.end(), chunk.begin(),
                     chunk.begin() + static_cast<std::ptrdiff_t>(count));
      if (content.size() > promised) {
        throw SampleError("corrupt image", "the gzip holds more bytes than its end tells");
      }
    }
  } catch (const SampleError&) {
    throw;
  } catch (const DataError& failure) {
    throw SampleError("corrupt image", failure.what());
  }
  if (has_magic(content, kGzip)) throw SampleError("corrupt image", "a gzip in a gzip");
  return content;
}

/// Calls `action` with the bytes, or with what is in their gzip wrapper.
template <typename Action>
auto with_content(std::span<const std::byte> bytes, const DecodeOptions& options, Action action) {
  if (!has_magic(bytes, kGzip)) return action(bytes);
  const std::vector<std::byte> content = unwrap(bytes, options.max_unwrapped_bytes);
  return action(std::span<const std::byte>(content));
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const auto whole = [](Size size) { return Wanted{1, {0, 0, size}}; };
  return decode_part(bytes, options, whole).part.image;
}

DecodedPart decode_part(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const std::function<Wanted(Size)>& choose) {
  return with_content(bytes, options, [&](std::span<const std::byte> content) {
    StoredImage stored = format_of(content).decode(content, options, choose);
    return DecodedPart{apply_orientation(std::move(stored.part), stored.orientation),
                       turned(stored.original, stored.orientation), stored.has_profile};
  });
}

Size shrunken(Size image, int shrink) {
  return {(image.width + shrink - 1) / shrink, (image.height + shrink - 1) / shrink};
}

ImageHeader read_image_header(std::span<const std::byte> bytes, const DecodeOptions& options) {
  return with_content(bytes, options, [&](std::span<const std::byte> content) {
    const ImageHeader header = format_of(content).read_header(content);
    check_size(header.width, header.height, options);
    return header;
  });
}

ImageText read_image_text(std::span<const std::byte> bytes) {
  return with_content(bytes, {}, [](std::span<const std::byte> content) {
    return format_of(content).read_text(content);
  });
}

Color parse_color(std::string_view text, std::string_view where) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  if (text == "gray") return {128, 128, 128};
  std::uint32_t value = 0;
  const bool hex =
      text.size() == 7 && text.front() == '#' &&
      std::from_chars(text.data() + 1, text.data() + 7, value, 16).ptr == text.data() + 7;
  if (!hex) {
    throw UserError("{}: expected white, black, gray or #RRGGBB, found '{}'", where, text);
  }
  return {static_cast<std::uint8_t>(value >> 16), static_cast<std::uint8_t>(value >> 8 & 0xFF),
          static_cast<std::uint8_t>(value & 0xFF)};
}

void check_size(std::int64_t width, std::int64_t height, const DecodeOptions& options) {
  if (width <= 0 || height <= 0) throw SampleError("corrupt image", "it has no pixels");
  if (width > options.max_pixels / height) {
    throw SampleError("image too large", fmt::format("{} x {} pixels; max_pixels is {}", width,
                                                     height, options.max_pixels));
  }
}

Image allocate_image(std::int64_t width, std::int64_t height, const DecodeOptions& options) {
  check_size(width, height, options);
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3)};
}

ImageText text_of_exif(std::span<const std::byte> exif) {
  std::string comment = exif_comment(exif);
  if (comment.empty()) return {};
  return {{"parameters", std::move(comment)}};
}

StoredImage whole_image(Image image, int orientation, bool has_profile) {
  const Size size{image.width, image.height};
  return {{std::move(image), 0, 0, size}, size, orientation, has_profile};
}

void composite_row(const std::uint8_t* rgba, std::int64_t width, const Color& background,
                   std::uint8_t* rgb) {
  for (std::int64_t x = 0; x < width; ++x, rgba += 4, rgb += 3) {
    const unsigned alpha = rgba[3];
    for (std::size_t c = 0; c < 3; ++c) {
      rgb[c] =
          static_cast<std::uint8_t>((alpha * rgba[c] + (255 - alpha) * background[c] + 127) / 255);
    }
  }
}

}  // namespace crescendo::dataloader
