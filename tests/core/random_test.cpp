#include "core/random.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include <gtest/gtest.h>

namespace crescendo {

namespace {

using Block = std::array<std::uint32_t, 4>;

TEST(PhiloxTest, EqualsRandom123) {
  // philox4x32-10 of Random123's known-answer file, kat_vectors.
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStreamTest, PlacesSeedPurposeAndPosition) {
  RandomStream stream(0x1122334455667788, Purpose::kNoise, 0x99AABBCCDDEEFF00);
  const std::array<std::uint32_t, 2> key = {0x55667788, 0x11223344};
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Block expected = philox4x32({block, 7, 0xDDEEFF00, 0x99AABBCC}, key);
    for (const std::uint32_t value : expected) EXPECT_EQ(stream.next(), value);
  }
}

TEST(RandomStreamTest, DiffersInSeedPurposeAndPosition) {
  const auto first = [](std::uint64_t seed, Purpose purpose, std::uint64_t position) {
    return RandomStream(seed, purpose, position).next();
  };
  const std::uint32_t base = first(1, Purpose::kCrop, 1);
  EXPECT_EQ(first(1, Purpose::kCrop, 1), base);
  EXPECT_NE(first(2, Purpose::kCrop, 1), base);
  EXPECT_NE(first(1ULL << 32 | 1, Purpose::kCrop, 1), base);
  EXPECT_NE(first(1, Purpose::kFlip, 1), base);
  EXPECT_NE(first(1, Purpose::kCrop, 2), base);
  EXPECT_NE(first(1, Purpose::kCrop, 1ULL << 32 | 1), base);
}

TEST(RandomStreamTest, UniformIsUniform) {
  constexpr int kDraws = 100'000;
  constexpr std::size_t kBins = 10;
  RandomStream stream(3, Purpose::kTimestep, 0);
  std::array<int, kBins> counts{};
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const float value = stream.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    ++counts.at(static_cast<std::size_t>(value * kBins));
    sum += value;
  }
  // Five standard deviations: sqrt(1/12/n) of the mean, sqrt(n p (1-p)) of a bin.
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  for (const int count : counts) {
    EXPECT_NEAR(count, 10'000, 5 * std::sqrt(kDraws * 0.1 * 0.9));
  }
}

TEST(RandomStreamTest, BelowHasNoBias) {
  constexpr int kDraws = 60'000;
  RandomStream stream(4, Purpose::kSampleOrder, 0);
  std::array<int, 6> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(stream.below(6));
  for (const int count : counts) {
    EXPECT_NEAR(count, 10'000, 5 * std::sqrt(kDraws * 5.0 / 36));
  }
}

TEST(RandomStreamTest, BelowOneIsZeroAndLargeRangesReachHigh) {
  RandomStream stream(5, Purpose::kSampleOrder, 0);
  EXPECT_EQ(stream.below(1), 0U);
  constexpr std::uint64_t kRange = 3ULL << 62;  // a quarter of all 64-bit draws is refused
  std::uint64_t highest = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = stream.below(kRange);
    ASSERT_LT(value, kRange);
    highest = std::max(highest, value);
  }
  EXPECT_GT(highest, 1ULL << 63);
}

TEST(RandomStreamTest, NormalHasItsMomentsAndTails) {
  std::vector<float> values(200'001);  // odd: the last pair is cut
  RandomStream(6, Purpose::kNoise, 0).fill_normal(values);
  const auto n = static_cast<double>(values.size());
  const auto moment = [&](int power) {
    return std::accumulate(values.begin(), values.end(), 0.0,
                           [&](double sum, float value) {
                             return sum + std::pow(static_cast<double>(value), power);
                           }) /
           n;
  };
  // Five standard errors; the k-th moment's variance is (E x^2k - (E x^k)^2) / n.
  EXPECT_NEAR(moment(1), 0, 5 * std::sqrt(1 / n));
  EXPECT_NEAR(moment(2), 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(moment(3), 0, 5 * std::sqrt(15 / n));
  EXPECT_NEAR(moment(4), 3, 5 * std::sqrt(96 / n));
  const auto beyond = [&](float limit) {
    return static_cast<double>(std::count_if(values.begin(), values.end(),
                                             [&](float v) { return std::abs(v) > limit; })) /
           n;
  };
  EXPECT_NEAR(beyond(1), 0.3173, 0.005);
  EXPECT_NEAR(beyond(3), 0.0027, 0.0006);
  EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }));
}

TEST(RandomStreamTest, NormalPairsAreUncorrelated) {
  std::vector<float> values(200'000);
  RandomStream(7, Purpose::kNoise, 0).fill_normal(values);
  double product = 0;
  for (std::size_t i = 0; i < values.size(); i += 2) product += values[i] * values[i + 1];
  const double pairs = static_cast<double>(values.size()) / 2;
  EXPECT_NEAR(product / pairs, 0, 5 / std::sqrt(pairs));
}

TEST(RandomStreamTest, NormalOfAShorterSpanIsAPrefix) {
  std::vector<float> longer(9);
  std::vector<float> shorter(4);
  RandomStream(8, Purpose::kNoise, 1).fill_normal(longer);
  RandomStream(8, Purpose::kNoise, 1).fill_normal(shorter);
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
}

TEST(RandomPermutationTest, ContainsEachOnce) {
  for (const std::uint32_t n : {0U, 1U, 2U, 1000U}) {
    std::vector<std::uint32_t> order = random_permutation(n, 1, Purpose::kShardOrder, 0);
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> all(n);
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(order, all);
  }
}

TEST(RandomPermutationTest, IsAPureFunction) {
  const auto order = [](std::uint64_t seed, std::uint64_t epoch) {
    return random_permutation(100, seed, Purpose::kSampleOrder, epoch);
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
}

TEST(RandomPermutationTest, EachOrderIsEquallyLikely) {
  constexpr int kDraws = 12'000;
  std::array<int, 27> counts{};
  for (std::uint64_t position = 0; position < kDraws; ++position) {
    const auto order = random_permutation(3, 9, Purpose::kPack, position);
    ++counts.at(order[0] * 9 + order[1] * 3 + order[2]);
  }
  for (const int count : counts) {
    if (count == 0) continue;  // not a permutation
    EXPECT_NEAR(count, 2000, 5 * std::sqrt(kDraws * 5.0 / 36));
  }
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 0), 27 - 6);
}

TEST(RandomPermutationTest, IsFoundElementByElement) {
  for (const std::uint64_t n : {1U, 2U, 3U, 4U, 5U, 16U, 17U, 1000U}) {
    const RandomPermutation order(n, 1, Purpose::kSampleOrder, 7);
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < n; ++i) all.push_back(order[i]);
    std::ranges::sort(all);
    for (std::uint64_t i = 0; i < n; ++i) ASSERT_EQ(all[i], i) << n;
  }
  const std::uint64_t huge = std::uint64_t{3} << 60;
  const RandomPermutation order(huge, 1, Purpose::kSampleOrder, 7);
  EXPECT_LT(order[huge - 1], huge);
  EXPECT_NE(order[0], order[1]);
}

TEST(RandomPermutationTest, FoundElementsAreAPureFunction) {
  const auto some = [](std::uint64_t seed, Purpose purpose, std::uint64_t position) {
    const RandomPermutation order(1'000'000, seed, purpose, position);
    return std::vector<std::uint64_t>{order[0], order[1], order[999'999]};
  };
  const auto expected = some(1, Purpose::kSampleOrder, 2);
  EXPECT_EQ(expected, some(1, Purpose::kSampleOrder, 2));
  EXPECT_NE(expected, some(2, Purpose::kSampleOrder, 2));
  EXPECT_NE(expected, some(1, Purpose::kShardOrder, 2));
  EXPECT_NE(expected, some(1, Purpose::kSampleOrder, 3));
}

TEST(RandomPermutationTest, EachFoundOrderIsEquallyLikely) {
  // Chi-square over all orders of n, at four standard deviations.
  for (const auto& [n, orders] : {std::pair{3U, 6.0}, {4U, 24.0}, {5U, 120.0}}) {
    constexpr int kDraws = 24'000;
    std::map<std::vector<std::uint64_t>, int> seen;
    for (std::uint64_t position = 0; position < kDraws; ++position) {
      const RandomPermutation order(n, 9, Purpose::kSampleOrder, position);
      std::vector<std::uint64_t> all;
      for (std::uint64_t i = 0; i < n; ++i) all.push_back(order[i]);
      ++seen[all];
    }
    double chi_square = 0;
    for (const auto& [order, count] : seen) {
      const double expected = kDraws / orders;
      chi_square += (count - expected) * (count - expected) / expected;
    }
    EXPECT_EQ(static_cast<double>(seen.size()), orders);
    EXPECT_LT(chi_square, orders - 1 + 4 * std::sqrt(2 * (orders - 1))) << n;
  }
}

TEST(RandomPermutationTest, FoundNeighboursAreUncorrelated) {
  constexpr std::uint64_t kCount = 20'000;
  const RandomPermutation order(kCount, 5, Purpose::kSampleOrder, 0);
  double sum = 0;
  for (std::uint64_t i = 0; i + 1 < kCount; ++i) {
    const auto centred = [&](std::uint64_t j) {
      return static_cast<double>(order[j]) / kCount - 0.5;
    };
    sum += centred(i) * centred(i + 1);
  }
  // The products have a standard deviation of 1/12.
  EXPECT_LT(std::abs(sum), 4 * std::sqrt(kCount) / 12);
}

}  // namespace

}  // namespace crescendo
