#include "tests/dataloader/tar_bytes.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <zlib.h>

namespace crescendo::dataloader {

namespace {

constexpr std::size_t kBlock = 512;

void put(std::string& block, std::size_t offset, std::string_view text) {
  std::ranges::copy(text, block.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

std::string pax_record(std::string_view key, std::string_view value) {
  // The length counts its own digits.
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (length != rest + std::to_string(length).size()) ++length;
  return fmt::format("{} {}={}\n", length, key, value);
}

void TarBytes::add_header(std::string_view name, std::string_view size_field, char type) {
  std::string block(kBlock, '\0');
  put(block, 0, name.substr(0, 100));
  put(block, 100, "0000644");
  put(block, 108, "0000000");
  put(block, 116, "0000000");
  put(block, 124, size_field);
  put(block, 136, "00000000000");
  put(block, 148, "        ");
  block[156] = type;
  put(block, 257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char letter : block) sum += static_cast<unsigned char>(letter);
  put(block, 148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  text_ += block;
}

void TarBytes::add_data(std::string_view data) {
  text_ += data;
  text_.resize((text_.size() + kBlock - 1) / kBlock * kBlock);
}

TarBytes& TarBytes::add(std::string_view name, std::string_view data, char type) {
  add_header(name, fmt::format("{:011o}", data.size()), type);
  add_data(data);
  return *this;
}

TarBytes& TarBytes::add_pax(std::string_view name, std::string_view data) {
  return add("pax", pax_record("path", name), 'x').add("short", data);
}

TarBytes& TarBytes::add_gnu(std::string_view name, std::string_view data) {
  return add("././@LongLink", std::string(name) + '\0', 'L').add(name.substr(0, 99), data);
}

TarBytes& TarBytes::add_claim(std::string_view name, std::string_view size_field) {
  add_header(name, size_field, '0');
  return *this;
}

TarBytes& TarBytes::append(std::string_view raw) {
  text_ += raw;
  return *this;
}

TarBytes& TarBytes::end() {
  text_.append(2 * kBlock, '\0');
  return *this;
}

Bytes tar_of(const std::vector<std::pair<std::string, std::string>>& members) {
  TarBytes tar;
  for (const auto& [name, data] : members) tar.add(name, data);
  return tar.end().bytes();
}

Bytes gzip(std::span<const std::byte> bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  Bytes packed(deflateBound(&stream, bytes.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

}  // namespace crescendo::dataloader
