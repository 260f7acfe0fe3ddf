#include <csetjmp>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <png.h>

#include "dataloader/exif.h"
#include "dataloader/image_formats.h"

namespace crescendo::dataloader {

namespace {

/// One decompression by libpng, which reports errors by longjmp: each step that calls it is a
/// function that owns nothing.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> bytes)
      : bytes_(bytes), png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, ignore)) {
    if (png_ == nullptr) throw std::bad_alloc();
    info_ = png_create_info_struct(png_);
    png_set_read_fn(png_, this, read);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }

  /// Everything to 8-bit RGB, or RGBA where there is transparency.
  bool prepare() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_expand(png_);
    png_set_strip_16(png_);  // v >> 8: clipping at 255 would turn 16-bit images white
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_pixels(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, info_);
    return true;
  }

  std::int64_t width() const { return png_get_image_width(png_, info_); }
  std::int64_t height() const { return png_get_image_height(png_, info_); }
  bool has_alpha() const { return png_get_channels(png_, info_) == 4; }
  bool may_be_transparent() const {
    return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0 ||
           png_get_valid(png_, info_, PNG_INFO_tRNS) != 0;
  }
  ImageText text() const {
    png_textp chunks = nullptr;
    int count = 0;
    png_get_text(png_, info_, &chunks, &count);
    ImageText text;
    for (const png_text& chunk : std::span(chunks, static_cast<std::size_t>(count))) {
      text[chunk.key] = chunk.text == nullptr ? "" : chunk.text;
    }
    return text;
  }
  bool has_profile() const { return png_get_valid(png_, info_, PNG_INFO_iCCP) != 0; }
  std::string message() const { return "PNG: " + message_; }

  int orientation() const {
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return 1;
    return exif_orientation(std::as_bytes(std::span(exif, size)));
  }

 private:
  [[noreturn]] static void fail(png_structp png, png_const_charp text) {
    static_cast<PngReader*>(png_get_error_ptr(png))->message_ = text;
    png_longjmp(png, 1);
  }

  // Of damage in the pixels libpng makes an error; its warnings concern side information.
  static void ignore(png_structp, png_const_charp) {}

  static void read(png_structp png, png_bytep out, std::size_t size) {
    PngReader& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (self.bytes_.size() < size) png_error(png, "the file ends early");
    std::memcpy(out, self.bytes_.data(), size);
    self.bytes_ = self.bytes_.subspan(size);
  }

  std::span<const std::byte> bytes_;
  std::string message_;
  png_structp png_;
  png_infop info_ = nullptr;
};

/// Pointers to the rows of a buffer.
std::vector<png_bytep> rows_of(std::vector<std::uint8_t>& pixels, std::int64_t height) {
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  const std::size_t stride = pixels.size() / rows.size();
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = pixels.data() + y * stride;
  return rows;
}

void require(bool success, const PngReader& reader) {
  if (!success) throw SampleError("corrupt image", reader.message());
}

}  // namespace

ImageHeader read_png_header(std::span<const std::byte> bytes) {
  PngReader reader(bytes);
  require(reader.read_header(), reader);
  return {"png",
          reader.width(),
          reader.height(),
          reader.orientation(),
          reader.may_be_transparent(),
          reader.has_profile()};
}

ImageText read_png_text(std::span<const std::byte> bytes) {
  PngReader reader(bytes);
  require(reader.read_header(), reader);
  return reader.text();
}

StoredImage decode_png(std::span<const std::byte> bytes, const DecodeOptions& options,
                       const ChoosePart&) {
  PngReader reader(bytes);
  require(reader.read_header(), reader);
  Image image = allocate_image(reader.width(), reader.height(), options);
  require(reader.prepare(), reader);
  if (reader.has_alpha()) {
    std::vector<std::uint8_t> rgba(image.pixels.size() / 3 * 4);
    std::vector<png_bytep> rows = rows_of(rgba, image.height);
    require(reader.read_pixels(rows.data()), reader);
    composite_row(rgba.data(), image.width * image.height, options.background, image.pixels.data());
  } else {
    std::vector<png_bytep> rows = rows_of(image.pixels, image.height);
    require(reader.read_pixels(rows.data()), reader);
  }
  return whole_image(std::move(image), reader.orientation(), reader.has_profile());
}

}  // namespace crescendo::dataloader
