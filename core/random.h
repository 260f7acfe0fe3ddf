#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace crescendo {

/// What a random draw is for. Values are part of the file format of checkpoints and of every
/// seed's pictures: append, never renumber.
enum class Purpose : std::uint32_t {
  kShardOrder = 1,
  kSampleOrder = 2,
  kCrop = 3,
  kFlip = 4,
  kCaptionDropout = 5,
  kTimestep = 6,
  kNoise = 7,
  kPosterior = 8,
  kInitialLatents = 9,
  kSamplerNoise = 10,
  kWeights = 11,
  kPack = 12,
  kDropout = 13,
  kSource = 14,
  kCaptionLine = 15,
  kNoiseOffset = 16,
  kInputPerturbation = 17,
  kClusterOrder = 18,
};

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): maps a
/// 128-bit counter and a 64-bit key to 128 random bits.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

/// A stream of draws that is a pure function of (seed, purpose, position): nothing is carried over
/// from one position to the next, so a draw does not depend on threads, ranks, batch size or
/// whether the run was resumed. `position` is whatever counts the thing: an epoch, a sample, a
/// step.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t position);

  /// Uniform over all 32-bit values.
  std::uint32_t next();

  /// Uniform over [0, 1), 24 bits.
  float uniform();

  /// Uniform over [0, n), without bias. n > 0.
  std::uint64_t below(std::uint64_t n);

  /// Standard normals by Box-Muller, float32. Draws a fresh pair for each two values, so filling
  /// [a, b] then [c] differs from filling [a] then [b, c]: fill one span per stream.
  void fill_normal(std::span<float> out);

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

/// A permutation of [0, n) by Fisher-Yates, a pure function of its arguments.
std::vector<std::uint32_t> random_permutation(std::uint32_t n, std::uint64_t seed, Purpose purpose,
                                              std::uint64_t position);

/// A permutation of [0, n) whose elements are found one by one, without room for the others: a
/// Feistel network of Philox rounds over the next power of four, walked until it hits [0, n) (Black
/// and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). A pure function of its arguments.
class RandomPermutation {
 public:
  RandomPermutation(std::uint64_t n, std::uint64_t seed, Purpose purpose, std::uint64_t position);

  /// Of i < n.
  std::uint64_t operator[](std::uint64_t i) const;

 private:
  std::uint64_t n_;
  unsigned half_bits_ = 1;
  std::array<std::uint32_t, 2> key_;
  bool odd_;
};

}  // namespace crescendo
