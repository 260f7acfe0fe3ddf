#include "pipelines/distributed/communicator.h"

#include <array>
#include <bit>
#include <cstdlib>
#include <numeric>

#include <gtest/gtest.h>

#include "core/error.h"
#include "pipelines/distributed/ranks.h"
#include "tests/core/error_text.h"
#include "tests/pipelines/distributed/ranks_of_test.h"

namespace crescendo::pipelines {
namespace {

TEST(CommunicatorTest, NumbersTheRanks) {
  Communicator& ranks = ranks_of_test();
  EXPECT_GE(ranks.rank(), 0);
  EXPECT_LT(ranks.rank(), ranks.size());
  const auto told = [](const char* name, int alone) {
    const char* value = std::getenv(name);
    return value == nullptr ? alone : std::atoi(value);
  };
  EXPECT_EQ(ranks.local_size(), told("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  EXPECT_EQ(ranks.local_rank(), told("OMPI_COMM_WORLD_LOCAL_RANK", 0));
  EXPECT_EQ(ranks.leads(), ranks.rank() == 0);
  const std::vector<std::string> numbers = ranks.gather(std::to_string(ranks.rank()));
  ASSERT_EQ(numbers.size(), static_cast<std::size_t>(ranks.size()));
  for (int i = 0; i < ranks.size(); ++i) EXPECT_EQ(numbers[i], std::to_string(i));
}

TEST(CommunicatorTest, SumsInTheWidthOfTheNumbers) {
  Communicator& ranks = ranks_of_test();
  const int all = ranks.size() * (ranks.size() + 1) / 2;
  std::vector<float> floats(100'003);
  std::iota(floats.begin(), floats.end(), 0.F);
  for (float& number : floats) number = static_cast<float>(ranks.rank() + 1) * (number + 1);
  const auto floats_sum = ranks.start_sum(floats.data(), floats.size(), Number::kFloat32);
  // Two at once, of which the later may be waited for first.
  std::vector<std::uint16_t> halves(5, static_cast<std::uint16_t>(0x3F80));  // 1
  const auto halves_sum = ranks.start_sum(halves.data(), halves.size(), Number::kBfloat16);
  floats_sum->progress();
  halves_sum->wait();
  floats_sum->wait();
  EXPECT_EQ(floats.front(), static_cast<float>(all));
  EXPECT_EQ(floats[9], static_cast<float>(10 * all));
  for (const std::uint16_t half : halves) {
    EXPECT_EQ(std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16),
              static_cast<float>(ranks.size()));
  }
  std::array<double, 2> doubles{1e-300, static_cast<double>(ranks.rank())};
  ranks.sum(doubles);
  EXPECT_DOUBLE_EQ(doubles[0], 1e-300 * ranks.size());
  EXPECT_DOUBLE_EQ(doubles[1], all - ranks.size());
}

TEST(CommunicatorTest, RoundsBfloat16ToEven) {
  Communicator& ranks = ranks_of_test();
  if (ranks.size() != 2) GTEST_SKIP() << "of two ranks";
  // 1 + 2^-8 lies between 1 and 1 + 2^-7, (1 + 2^-7) + 2^-8 between that and 1 + 2^-6.
  std::array<std::uint16_t, 3> numbers = {0x3B80, 0x3B80, 0x7FC0};  // 2^-8, 2^-8, nan
  if (ranks.leads()) numbers = {0x3F80, 0x3F81, 0x3F80};
  ranks.start_sum(numbers.data(), numbers.size(), Number::kBfloat16)->wait();
  EXPECT_EQ(numbers[0], 0x3F80);
  EXPECT_EQ(numbers[1], 0x3F82);
  EXPECT_EQ(numbers[2], 0x7FC0);
}

TEST(CommunicatorTest, AgreesOnWhatRank0SaysAndOnWhatAnyDoes) {
  Communicator& ranks = ranks_of_test();
  EXPECT_EQ(ranks.agree_on(std::string(static_cast<std::size_t>(3 + ranks.rank()), 'x')), "xxx");
  EXPECT_EQ(ranks.agree_on(ranks.leads() ? "" : "theirs"), "");
  EXPECT_FALSE(ranks.any(false));
  EXPECT_TRUE(ranks.any(ranks.rank() == ranks.size() - 1));
}

TEST(CommunicatorTest, GathersTextsOfAnyLength) {
  Communicator& ranks = ranks_of_test();
  const auto text_of = [](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 70'000, static_cast<char>('a' + rank));
  };
  const std::vector<std::string> texts = ranks.gather(text_of(ranks.rank()));
  for (int i = 0; i < ranks.size(); ++i) EXPECT_EQ(texts[i], text_of(i));
}

TEST(RanksTest, RefuseAnotherPremise) {
  Communicator& ranks = ranks_of_test();
  const int last = ranks.size() - 1;
  require_same(ranks, {{"data set", "a"}, {"configuration", "b"}});
  const auto differ = [&] {
    const std::string steps = ranks.rank() == last ? "steps = 2" : "steps = 1";
    require_same(ranks, {{"data set", "a"}, {"configuration", "seed = 0\n" + steps}});
  };
  if (last == 0) return differ();
  EXPECT_EQ(error_text(differ),
            fmt::format("rank {}: has another configuration than rank 0: expected 'steps = 1', "
                        "found 'steps = 2'; start all ranks alike",
                        last));
}

}  // namespace
}  // namespace crescendo::pipelines
