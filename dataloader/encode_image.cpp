#include "dataloader/encode_image.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

constexpr std::string_view kExifMarker{"Exif\0\0", 6};
constexpr std::size_t kMaxExif = 65533 - kExifMarker.size();  ///< of one JPEG marker

/// What precedes the block in a JPEG's APP1 marker, and the block.
std::vector<std::byte> exif_marker(std::span<const std::byte> exif) {
  std::vector<std::byte> marker;
  if (exif.empty() || exif.size() > kMaxExif) return marker;
  const auto prefix = std::as_bytes(std::span(kExifMarker));
  marker.assign(prefix.begin(), prefix.end());
  marker.insert(marker.end(), exif.begin(), exif.end());
  return marker;
}

/// One compression by libjpeg, which reports errors by longjmp: encode() owns nothing.
class JpegWriter {
 public:
  JpegWriter() {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) {
      std::longjmp(static_cast<JpegWriter*>(info->client_data)->jump_, 1);
    };
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&info_);
    std::free(buffer_);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  bool encode(const Image& image, int quality, std::span<const std::byte> exif) {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_compress(&info_);
    jpeg_mem_dest(&info_, &buffer_, &size_);
    info_.image_width = static_cast<JDIMENSION>(image.width);
    info_.image_height = static_cast<JDIMENSION>(image.height);
    info_.input_components = 3;
    info_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    info_.comp_info[0].h_samp_factor = 1;
    info_.comp_info[0].v_samp_factor = 1;
    if (!exif.empty()) info_.write_JFIF_header = FALSE;  // EXIF comes in its place
    jpeg_start_compress(&info_, TRUE);
    if (!exif.empty()) {
      jpeg_write_marker(&info_, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                        static_cast<unsigned>(exif.size()));
    }
    while (info_.next_scanline < info_.image_height) {
      // The interface is not const, the library does not write.
      JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data()) +
                     std::size_t{info_.next_scanline} * info_.image_width * 3;
      jpeg_write_scanlines(&info_, &row, 1);
    }
    jpeg_finish_compress(&info_);
    return true;
  }

  std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span<const unsigned char>(buffer_, size_));
  }

 private:
  jpeg_compress_struct info_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf jump_{};
  unsigned char* buffer_ = nullptr;
  unsigned long size_ = 0;
};

/// Compresses into the writer's sink; false when libpng fails. Apart, because longjmp passes over
/// no destructors here.
bool encode(png_structp png, png_infop info, const Image& image, int color_type,
            std::vector<png_text>& chunks, std::vector<png_bytep>& rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, color_type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, info, chunks.data(), static_cast<int>(chunks.size()));
  png_set_rows(png, info, rows.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  return true;
}

std::vector<png_text> text_chunks(const std::map<std::string, std::string>& text) {
  std::vector<png_text> chunks;
  for (const auto& [key, value] : text) {
    png_text chunk{};
    chunk.compression = PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(key.c_str());
    chunk.text = const_cast<char*>(value.c_str());
    chunk.itxt_length = value.size();
    chunks.push_back(chunk);
  }
  return chunks;
}

std::vector<std::uint8_t> interleave(const Image& image, std::span<const std::uint8_t> alpha) {
  std::vector<std::uint8_t> rgba;
  rgba.reserve(alpha.size() * 4);
  for (std::size_t i = 0; i < alpha.size(); ++i) {
    rgba.insert(rgba.end(),
                {image.pixels[i * 3], image.pixels[i * 3 + 1], image.pixels[i * 3 + 2], alpha[i]});
  }
  return rgba;
}

}  // namespace

std::vector<std::byte> encode_jpeg(const Image& image, int quality,
                                   std::span<const std::byte> exif) {
  JpegWriter writer;
  if (!writer.encode(image, quality, exif_marker(exif)))
    throw Error("libjpeg cannot encode an image");
  return {writer.bytes().begin(), writer.bytes().end()};
}

std::vector<std::byte> encode_png(const Image& image, std::span<const std::uint8_t> alpha,
                                  const std::map<std::string, std::string>& text) {
  std::vector<std::uint8_t> rgba = interleave(image, alpha);
  std::uint8_t* const pixels =
      alpha.empty() ? const_cast<std::uint8_t*>(image.pixels.data()) : rgba.data();
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < image.height; ++y) {
    rows.push_back(pixels + y * image.width * (alpha.empty() ? 3 : 4));
  }
  std::vector<png_text> chunks = text_chunks(text);
  std::vector<std::byte> bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) throw Error("libpng cannot be started");
  png_set_write_fn(
      png, &bytes,
      [](png_structp writer, png_bytep data, png_size_t size) {
        auto& sink = *static_cast<std::vector<std::byte>*>(png_get_io_ptr(writer));
        const auto part = std::as_bytes(std::span(data, size));
        sink.insert(sink.end(), part.begin(), part.end());
      },
      nullptr);
  const int color_type = alpha.empty() ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGBA;
  const bool encoded = encode(png, info, image, color_type, chunks, rows);
  png_destroy_write_struct(&png, &info);
  if (!encoded) throw Error("libpng cannot encode an image");
  return bytes;
}

std::vector<std::byte> encode_webp(const Image& image, int quality,
                                   std::span<const std::byte> exif) {
  const int width = static_cast<int>(image.width);
  std::uint8_t* encoded = nullptr;
  const std::size_t size = WebPEncodeRGB(image.pixels.data(), width, static_cast<int>(image.height),
                                         width * 3, static_cast<float>(quality), &encoded);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> owner(encoded, WebPFree);
  if (size == 0) throw Error("libwebp cannot encode an image");
  const auto bytes = std::as_bytes(std::span(encoded, size));
  if (exif.empty()) return {bytes.begin(), bytes.end()};

  const WebPData picture{encoded, size};
  const WebPData block{reinterpret_cast<const std::uint8_t*>(exif.data()), exif.size()};
  const std::unique_ptr<WebPMux, void (*)(WebPMux*)> mux(WebPMuxNew(), WebPMuxDelete);
  WebPData whole{};
  const bool made = mux && WebPMuxSetImage(mux.get(), &picture, 0) == WEBP_MUX_OK &&
                    WebPMuxSetChunk(mux.get(), "EXIF", &block, 0) == WEBP_MUX_OK &&
                    WebPMuxAssemble(mux.get(), &whole) == WEBP_MUX_OK;
  if (!made) throw Error("libwebp cannot add EXIF to an image");
  const std::unique_ptr<WebPData, void (*)(WebPData*)> cleared(&whole, WebPDataClear);
  const auto all = std::as_bytes(std::span(whole.bytes, whole.size));
  return {all.begin(), all.end()};
}

}  // namespace crescendo::dataloader
