#include <memory>
#include <utility>
#include <vector>

#include <webp/decode.h>
#include <webp/demux.h>

#include "dataloader/exif.h"
#include "dataloader/image_formats.h"

namespace crescendo::dataloader {

namespace {

const std::uint8_t* data_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

[[noreturn]] void fail() { throw SampleError("corrupt image", "WebP: damaged or cut short"); }

using Demuxer = std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)>;

Demuxer demux(std::span<const std::byte> bytes) {
  const WebPData data{data_of(bytes), bytes.size()};
  return {WebPDemux(&data), WebPDemuxDelete};
}

/// The EXIF block, which lies in the bytes of the file; empty where there is none.
std::span<const std::byte> exif_of(const Demuxer& demuxer) {
  WebPChunkIterator chunk{};
  if (!demuxer || WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk) == 0) return {};
  WebPDemuxReleaseChunkIterator(&chunk);
  return std::as_bytes(std::span(chunk.chunk.bytes, chunk.chunk.size));
}

bool has_profile(const Demuxer& demuxer) {
  return demuxer && (WebPDemuxGetI(demuxer.get(), WEBP_FF_FORMAT_FLAGS) & ICCP_FLAG) != 0;
}

WebPBitstreamFeatures features_of(std::span<const std::byte> bytes) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data_of(bytes), bytes.size(), &features) != VP8_STATUS_OK) fail();
  return features;
}

void decode_first_frame(std::span<const std::byte> bytes, const Color& background, Image& image) {
  const WebPData data{data_of(bytes), bytes.size()};
  WebPAnimDecoderOptions settings;
  WebPAnimDecoderOptionsInit(&settings);
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(
      WebPAnimDecoderNew(&data, &settings), WebPAnimDecoderDelete);
  std::uint8_t* rgba = nullptr;
  int timestamp = 0;
  if (!decoder || WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp) == 0) fail();
  composite_row(rgba, image.width * image.height, background, image.pixels.data());
}

void decode_still(std::span<const std::byte> bytes, bool has_alpha, const Color& background,
                  Image& image) {
  const int width = static_cast<int>(image.width);
  if (!has_alpha) {
    if (WebPDecodeRGBInto(data_of(bytes), bytes.size(), image.pixels.data(), image.pixels.size(),
                          width * 3) == nullptr) {
      fail();
    }
    return;
  }
  std::vector<std::uint8_t> rgba(image.pixels.size() / 3 * 4);
  if (WebPDecodeRGBAInto(data_of(bytes), bytes.size(), rgba.data(), rgba.size(), width * 4) ==
      nullptr) {
    fail();
  }
  composite_row(rgba.data(), image.width * image.height, background, image.pixels.data());
}

}  // namespace

ImageHeader read_webp_header(std::span<const std::byte> bytes) {
  const WebPBitstreamFeatures features = features_of(bytes);
  const Demuxer demuxer = demux(bytes);
  return {"webp",
          features.width,
          features.height,
          exif_orientation(exif_of(demuxer)),
          features.has_alpha != 0,
          has_profile(demuxer)};
}

ImageText read_webp_text(std::span<const std::byte> bytes) {
  features_of(bytes);  // throws for what is no WebP
  return text_of_exif(exif_of(demux(bytes)));
}

StoredImage decode_webp(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const ChoosePart&) {
  const WebPBitstreamFeatures features = features_of(bytes);
  Image image = allocate_image(features.width, features.height, options);
  const Demuxer demuxer = demux(bytes);
  if (features.has_animation != 0) {
    decode_first_frame(bytes, options.background, image);
  } else {
    decode_still(bytes, features.has_alpha != 0, options.background, image);
  }
  return whole_image(std::move(image), exif_orientation(exif_of(demuxer)), has_profile(demuxer));
}

}  // namespace crescendo::dataloader
