#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace crescendo {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t position)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      counter_{0, static_cast<std::uint32_t>(purpose), static_cast<std::uint32_t>(position),
               static_cast<std::uint32_t>(position >> 32)} {}

std::uint32_t RandomStream::next() {
  if (used_ == 4) {
    block_ = philox4x32(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[used_++];
}

float RandomStream::uniform() { return static_cast<float>(next() >> 8) * 0x1p-24F; }

std::uint64_t RandomStream::below(std::uint64_t n) {
  // Values under 2^64 mod n would make the low residues too likely: draw again.
  const std::uint64_t threshold = (0 - n) % n;
  for (;;) {
    const std::uint64_t high = next();
    const std::uint64_t value = (high << 32) | next();
    if (value >= threshold) return value % n;
  }
}

void RandomStream::fill_normal(std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); i += 2) {
    // (0, 1]: the logarithm of 0 is never taken.
    const double u = (static_cast<double>(next()) + 1.0) * 0x1p-32;
    const double v = static_cast<double>(next()) * 0x1p-32;
    const double radius = std::sqrt(-2.0 * std::log(u));
    const double angle = 2.0 * std::numbers::pi * v;
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

std::vector<std::uint32_t> random_permutation(std::uint32_t n, std::uint64_t seed, Purpose purpose,
                                              std::uint64_t position) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  RandomStream stream(seed, purpose, position);
  for (std::uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
  return order;
}

RandomPermutation::RandomPermutation(std::uint64_t n, std::uint64_t seed, Purpose purpose,
                                     std::uint64_t position)
    : n_(n) {
  RandomStream stream(seed, purpose, position);
  key_ = {stream.next(), stream.next()};
  odd_ = n > 1 && stream.below(2) == 1;
  while (half_bits_ < 32 && (std::uint64_t{1} << (2 * half_bits_)) < n) ++half_bits_;
}

std::uint64_t RandomPermutation::operator[](std::uint64_t i) const {
  constexpr std::uint32_t kRounds = 10;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  do {
    std::uint64_t left = i >> half_bits_;
    std::uint64_t right = i & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint32_t mixed =
          philox4x32({round, static_cast<std::uint32_t>(right), 0, 0}, key_)[0];
      left = std::exchange(right, left ^ (mixed & mask));
    }
    i = left << half_bits_ | right;
  } while (i >= n_);
  // Feistel networks are even permutations, so half of the orders need one more exchange.
  return odd_ && i < 2 ? i ^ 1 : i;
}

}  // namespace crescendo
