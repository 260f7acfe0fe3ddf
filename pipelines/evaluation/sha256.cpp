#include "pipelines/evaluation/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/mapped_file.h"

namespace crescendo::pipelines {

namespace {

constexpr std::array<std::uint32_t, 64> kRounds{
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

std::uint32_t big_endian(const std::byte* bytes) {
  std::uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8U | static_cast<std::uint32_t>(bytes[i]);
  return word;
}

}  // namespace

void Sha256::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t held = size_ % waiting_.size();
    if (held == 0 && bytes.size() >= waiting_.size()) {
      take_block(bytes.data());
      size_ += waiting_.size();
      bytes = bytes.subspan(waiting_.size());
      continue;
    }
    const std::size_t count = std::min(bytes.size(), waiting_.size() - held);
    std::memcpy(waiting_.data() + held, bytes.data(), count);
    size_ += count;
    bytes = bytes.subspan(count);
    if (held + count == waiting_.size()) take_block(waiting_.data());
  }
}

std::string Sha256::finish() {
  const std::uint64_t bits = size_ * 8;
  std::array<std::byte, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<std::byte>(bits >> (8 * (length.size() - 1 - i)));
  }
  add(std::string_view("\x80"));
  while (size_ % waiting_.size() != waiting_.size() - length.size()) {
    add(std::string_view("\0", 1));
  }
  add(length);
  std::string text;
  for (const std::uint32_t word : state_) text += fmt::format("{:08x}", word);
  return text;
}

void Sha256::take_block(const std::byte* block) {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < 16; ++i) w[i] = big_endian(block + 4 * i);
  for (std::size_t i = 16; i < w.size(); ++i) {
    const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3U);
    const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10U);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = std::exchange(g, std::exchange(f, std::exchange(e, d + t1)));
    d = std::exchange(c, std::exchange(b, std::exchange(a, t1 + t2)));
  }
  const std::array<std::uint32_t, 8> add{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state_.size(); ++i) state_[i] += add[i];
}

std::string sha256_of_file(const std::filesystem::path& file) {
  constexpr std::size_t kPart = 1 << 24;
  const MappedFile mapped(file);
  Sha256 sha;
  for (std::size_t at = 0; at < mapped.bytes().size(); at += kPart) {
    const auto part = mapped.bytes().subspan(at, std::min(kPart, mapped.bytes().size() - at));
    sha.add(part);
    mapped.release(part);
  }
  return sha.finish();
}

std::string sha256_of_files(const std::filesystem::path& folder,
                            std::vector<std::filesystem::path> files) {
  std::ranges::sort(files);
  Sha256 sha;
  for (const std::filesystem::path& file : files) {
    sha.add(fmt::format("{}  {}\n", sha256_of_file(file),
                        file.lexically_relative(folder).generic_string()));
  }
  return sha.finish();
}

}  // namespace crescendo::pipelines
