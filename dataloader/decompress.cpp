#include "dataloader/decompress.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <zlib.h>
#include <zstd.h>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

/// What was read ahead of another source, then the rest of it.
class BufferedInput {
 public:
  explicit BufferedInput(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  /// At least `wanted` bytes, fewer only at the end; stays valid until the next call.
  std::span<const std::byte> peek(std::size_t wanted) {
    if (end_ - begin_ < wanted) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= std::exchange(begin_, 0);
    }
    while (end_ - begin_ < wanted) {
      const std::size_t count = source_->read(std::span(buffer_).subspan(end_));
      if (count == 0) break;
      end_ += count;
    }
    return std::span(buffer_).subspan(begin_, end_ - begin_);
  }

  void consume(std::size_t count) { begin_ += count; }

  std::size_t read(std::span<std::byte> out) {
    if (begin_ == end_) return source_->read(out);
    const std::size_t count = std::min(out.size(), end_ - begin_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), count, out.begin());
    consume(count);
    return count;
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 16);
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(BufferedInput input) : input_(std::move(input)) {}
  std::size_t read(std::span<std::byte> out) override { return input_.read(out); }

 private:
  BufferedInput input_;
};

constexpr std::array kGzipMagic{std::byte{0x1F}, std::byte{0x8B}};

bool starts_with(std::span<const std::byte> bytes, std::span<const std::byte> magic) {
  return bytes.size() >= magic.size() && std::ranges::equal(bytes.first(magic.size()), magic);
}

/// zlib in gzip mode verifies CRC-32 and length at each member's end, which libarchive does not.
class GzipSource final : public ByteSource {
 public:
  GzipSource(BufferedInput input, std::string where)
      : input_(std::move(input)), where_(std::move(where)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(std::span<std::byte> out) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), 1 << 30));
    const uInt room = stream_.avail_out;
    while (stream_.avail_out == room && !ended_) inflate_some();
    return room - stream_.avail_out;
  }

 private:
  void inflate_some() {
    const std::span<const std::byte> input = input_.peek(1);
    if (input.empty()) {
      throw DataError("{}: the gzip stream ends early; the file is truncated, copy it again",
                      where_);
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    const int status = inflate(&stream_, Z_NO_FLUSH);
    input_.consume(input.size() - stream_.avail_in);
    if (status == Z_STREAM_END) {
      start_next_member();
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      throw DataError("{}: damaged gzip stream: {}; the file is corrupt, copy it again", where_,
                      stream_.msg != nullptr ? stream_.msg : "unknown error");
    }
  }

  void start_next_member() {
    const std::span<const std::byte> rest = input_.peek(kGzipMagic.size());
    if (starts_with(rest, kGzipMagic)) {
      inflateReset(&stream_);
    } else if (rest.empty()) {
      ended_ = true;
    } else {
      throw DataError("{}: bytes that are no gzip follow the gzip stream", where_);
    }
  }

  BufferedInput input_;
  std::string where_;
  z_stream stream_{};
  bool ended_ = false;
};

/// libzstd verifies each frame's checksum, where it has one.
class ZstdSource final : public ByteSource {
 public:
  ZstdSource(BufferedInput input, std::string where)
      : input_(std::move(input)), where_(std::move(where)), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  std::size_t read(std::span<std::byte> out) override {
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    while (output.pos == 0 && !out.empty()) {
      const std::span<const std::byte> bytes = input_.peek(1);
      // Bytes may wait in the decoder after the last of the file was given to it.
      if (bytes.empty() && !in_frame_) break;
      ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
      const std::size_t status = ZSTD_decompressStream(stream_, &output, &input);
      input_.consume(input.pos);
      if (ZSTD_isError(status) != 0) {
        throw DataError("{}: damaged zstd stream: {}; the file is corrupt, copy it again", where_,
                        ZSTD_getErrorName(status));
      }
      in_frame_ = status != 0;
      if (bytes.empty() && output.pos == 0 && in_frame_) {
        throw DataError("{}: the zstd stream ends early; the file is truncated, copy it again",
                        where_);
      }
    }
    return output.pos;
  }

 private:
  BufferedInput input_;
  std::string where_;
  ZSTD_DStream* stream_;
  bool in_frame_ = false;
};

}  // namespace

std::string_view compression_of(std::span<const std::byte> front) {
  constexpr std::array kZstd{std::byte{0x28}, std::byte{0xB5}, std::byte{0x2F}, std::byte{0xFD}};
  // Frames to be skipped, which parallel compressors begin with: 0x184D2A50 to 0x184D2A5F.
  constexpr std::array kZstdSkippable{std::byte{0x2A}, std::byte{0x4D}, std::byte{0x18}};
  constexpr std::array kXz{std::byte{0xFD}, std::byte{'7'}, std::byte{'z'}, std::byte{'X'}};
  // "BZh" alone may begin the first name of a tar: the mark of a block must stand behind it.
  constexpr std::array kBzip2{std::byte{'B'}, std::byte{'Z'}, std::byte{'h'}};
  constexpr std::array kBzip2Block{std::byte{'1'}, std::byte{'A'}, std::byte{'Y'}, std::byte{'&'}};
  if (starts_with(front, kGzipMagic)) return "gzip";
  if (starts_with(front, kZstd)) return "zstd";
  if (front.size() > 4 && (front[0] & std::byte{0xF0}) == std::byte{0x50} &&
      starts_with(front.subspan(1), kZstdSkippable)) {
    return "zstd";
  }
  if (starts_with(front, kXz)) return "xz";
  if (starts_with(front, kBzip2) && front.size() > 4 &&
      starts_with(front.subspan(4), kBzip2Block)) {
    return "bzip2";
  }
  return {};
}

std::unique_ptr<ByteSource> decompressed(std::unique_ptr<ByteSource> source, std::string where) {
  BufferedInput input(std::move(source));
  const std::string_view compression = compression_of(input.peek(kMagicBytes));
  if (compression.empty()) return std::make_unique<PlainSource>(std::move(input));
  if (compression == "gzip") {
    return std::make_unique<GzipSource>(std::move(input), std::move(where));
  }
  if (compression == "zstd") {
    return std::make_unique<ZstdSource>(std::move(input), std::move(where));
  }
  throw DataError(
      "{}: compressed with {}; expected a plain tar, or one compressed with gzip or zstd", where,
      compression);
}

}  // namespace crescendo::dataloader
