#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>

#include "dataloader/exif.h"
#include "dataloader/image_formats.h"

namespace crescendo::dataloader {

namespace {

// A progressive file of many empty scans costs hours for few bytes; encoders write about ten.
constexpr int kMaxScans = 100;

constexpr std::string_view kProfileMark("ICC_PROFILE\0", 12);

// Smooth upsampling looks one chroma sample, up to four pixels, beyond the cut, and takes another
// way for very narrow images. To cut off a few columns gains nothing.
constexpr std::int64_t kMargin = 4;
constexpr std::int64_t kNarrowestCut = 64;
constexpr std::int64_t kWorthCutting = 32;

/// Goes from marker to marker, through a scan's data as through anything else between two.
int count_scans(std::span<const std::byte> bytes) {
  constexpr std::byte kMarker{0xFF};
  int count = 0;
  std::size_t i = 0;
  while (i + 4 <= bytes.size()) {
    const auto code = std::to_integer<unsigned>(bytes[i + 1]);
    if (bytes[i] != kMarker || code == 0xFF) {
      ++i;
    } else if (code <= 0x01 || (code >= 0xD0 && code <= 0xD8)) {
      i += 2;  // these stand alone
    } else if (code == 0xD9) {
      break;
    } else {
      if (code == 0xDA) ++count;
      i += 2 + (std::to_integer<std::size_t>(bytes[i + 2]) << 8 |
                std::to_integer<std::size_t>(bytes[i + 3]));
    }
  }
  return count;
}

/// The window with a margin around it, as far as the image goes; all columns where cutting them
/// would gain little.
Window with_margin(const Window& window, Size whole) {
  const auto grow = [](std::int64_t& begin, std::int64_t& length, std::int64_t most) {
    const std::int64_t end = std::min(begin + length + kMargin, most);
    begin = std::max<std::int64_t>(begin - kMargin, 0);
    length = end - begin;
  };
  Window result = window;
  grow(result.left, result.size.width, whole.width);
  grow(result.top, result.size.height, whole.height);
  if (result.size.width < kNarrowestCut || whole.width - result.size.width < kWorthCutting) {
    result.left = 0;
    result.size.width = whole.width;
  }
  return result;
}

/// One decompression by libjpeg-turbo's libjpeg interface, which, unlike TurboJPEG 2.1, takes every
/// sampling, bounds the scans and tells damage from remarks. The library reports errors by longjmp,
/// so each step that calls it is a function that owns nothing.
class JpegReader {
 public:
  explicit JpegReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { fail(info); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      // Level -1 is damaged data, except for two remarks on markers of an unknown version.
      const int code = info->err->msg_code;
      if (level < 0 && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM) fail(info);
    };
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool read_header() {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_save_markers(&info_, JPEG_APP0 + 2, static_cast<unsigned>(kProfileMark.size()));
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  /// Goes to the first row of a window of the image at 1/shrink. Its columns become those that the
  /// library can cut out.
  bool begin(int shrink, Window& window) {
    if (setjmp(jump_) != 0) return false;
    info_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
    info_.scale_num = 1;
    info_.scale_denom = static_cast<unsigned>(shrink);
    jpeg_start_decompress(&info_);
    if (window.size.width < info_.output_width) {
      auto left = static_cast<JDIMENSION>(window.left);
      auto width = static_cast<JDIMENSION>(window.size.width);
      jpeg_crop_scanline(&info_, &left, &width);
      window.left = left;
      window.size.width = width;
    }
    skip_to(window.top);
    return true;
  }

  /// Fills the rows of the window, three bytes a pixel. `row` holds one of four channels.
  bool read_pixels(std::int64_t rows, std::uint8_t* rgb, std::uint8_t* row) {
    if (setjmp(jump_) != 0) return false;
    for (std::int64_t y = 0; y < rows; ++y) {
      std::uint8_t* const target = rgb + y * info_.output_width * 3;
      JSAMPROW scanline = is_cmyk() ? row : target;
      jpeg_read_scanlines(&info_, &scanline, 1);
      if (is_cmyk()) convert_cmyk(row, target);
    }
    // To the last row, and through it: damage below the window is found as well.
    if (info_.output_scanline < info_.output_height) {
      skip_to(info_.output_height - 1);
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  /// Whether there are more scans than any encoder writes, by the markers that begin them.
  bool has_too_many_scans() {
    return jpeg_has_multiple_scans(&info_) && count_scans(bytes_) > kMaxScans;
  }

  std::int64_t width() const { return info_.image_width; }
  std::int64_t height() const { return info_.image_height; }

  int orientation() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      const auto data = std::as_bytes(std::span(marker->data, marker->data_length));
      if (const int value = exif_orientation(data); value != 1) return value;
    }
    return 1;
  }

  ImageText text() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      ImageText text = text_of_exif(std::as_bytes(std::span(marker->data, marker->data_length)));
      if (!text.empty()) return text;
    }
    return {};
  }

  bool has_profile() const {
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr;
         marker = marker->next) {
      if (marker->marker == JPEG_APP0 + 2 && marker->data_length >= kProfileMark.size() &&
          std::memcmp(marker->data, kProfileMark.data(), kProfileMark.size()) == 0) {
        return true;
      }
    }
    return false;
  }

  std::string message() {
    char text[JMSG_LENGTH_MAX];
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), text);
    return fmt::format("JPEG: {}", text);
  }

 private:
  [[noreturn]] static void fail(j_common_ptr info) {
    std::longjmp(static_cast<JpegReader*>(info->client_data)->jump_, 1);
  }

  void skip_to(std::int64_t row) {
    const JDIMENSION count = static_cast<JDIMENSION>(row) - info_.output_scanline;
    if (count > 0) jpeg_skip_scanlines(&info_, count);
  }

  bool is_cmyk() const {
    return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK;
  }

  /// Adobe stores 255 - ink; Pillow takes every CMYK JPEG for Adobe's and rounds like this.
  void convert_cmyk(const std::uint8_t* row, std::uint8_t* rgb) const {
    for (JDIMENSION x = 0; x < info_.output_width; ++x, row += 4, rgb += 3) {
      const int white = row[3];
      for (int c = 0; c < 3; ++c) {
        const int scaled = (255 - row[c]) * white + 128;
        rgb[c] = static_cast<std::uint8_t>(white - (((scaled >> 8) + scaled) >> 8));
      }
    }
  }

  std::span<const std::byte> bytes_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf jump_{};
};

}  // namespace

ImageHeader read_jpeg_header(std::span<const std::byte> bytes) {
  JpegReader reader(bytes);
  if (!reader.read_header()) throw SampleError("corrupt image", reader.message());
  return {"jpeg", reader.width(),      reader.height(), reader.orientation(),
          false,  reader.has_profile()};
}

ImageText read_jpeg_text(std::span<const std::byte> bytes) {
  JpegReader reader(bytes);
  if (!reader.read_header()) throw SampleError("corrupt image", reader.message());
  return reader.text();
}

StoredImage decode_jpeg(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const ChoosePart& choose) {
  JpegReader reader(bytes);
  const auto require = [&](bool success) {
    if (!success) throw SampleError("corrupt image", reader.message());
  };
  require(reader.read_header());
  const Size original{reader.width(), reader.height()};
  check_size(original.width, original.height, options);
  if (reader.has_too_many_scans()) {
    throw SampleError("corrupt image", fmt::format("JPEG: more than {} scans", kMaxScans));
  }
  const int orientation = reader.orientation();
  const bool has_profile = reader.has_profile();
  const Wanted wanted = choose(turned(original, orientation));
  const Size whole = shrunken(original, wanted.shrink);
  Window window = with_margin(stored_window(wanted.part, whole, orientation), whole);
  require(reader.begin(wanted.shrink, window));
  Image image = allocate_image(window.size.width, window.size.height, options);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(whole.width) * 4);
  require(reader.read_pixels(image.height, image.pixels.data(), row.data()));
  return {{std::move(image), window.left, window.top, whole}, original, orientation, has_profile};
}

}  // namespace crescendo::dataloader
