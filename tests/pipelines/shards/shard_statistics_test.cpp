#include "pipelines/shards/shard_statistics.h"

#include <gtest/gtest.h>

namespace crescendo::pipelines {

namespace {

using Json = nlohmann::ordered_json;

TEST(DistributionTest, SummaryIsOfValuesThatWereAdded) {
  Distribution numbers;
  for (int value = 100; value >= 1; --value) numbers.add(static_cast<std::uint64_t>(value));
  EXPECT_EQ(numbers.summary(), (Json{{"min", 1}, {"median", 50}, {"p95", 95}, {"max", 100}}));
  EXPECT_EQ(numbers.count_above(95), 5U);
  Distribution one;
  one.add(7);
  EXPECT_EQ(one.summary(), (Json{{"min", 7}, {"median", 7}, {"p95", 7}, {"max", 7}}));
}

TEST(FindingTest, NamesTheFirstFew) {
  Finding finding("things");
  finding.add("a");
  EXPECT_EQ(finding.text(), "1 things: a");
  for (const char* name : {"b", "c", "d"}) finding.add(name);
  EXPECT_EQ(finding.text(), "4 things, among them a, b, c");
}

TEST(SizeStatisticsTest, CountsBuckets) {
  SizeStatistics sizes;
  sizes.add(100, 100);
  sizes.add(1920, 1080);
  sizes.add(1000, 1490);
  sizes.add(512, 1024);
  sizes.add(100, 1000);
  sizes.add(10'000, 1000);
  const Json summary = sizes.summary();
  EXPECT_EQ(summary["width"]["min"], 100);
  EXPECT_EQ(summary["height"]["max"], 1490);
  EXPECT_EQ(summary["megapixels"], (Json{{"below 0.1", 1},
                                         {"0.1 to 0.25", 1},
                                         {"0.5 to 1", 1},
                                         {"1 to 2", 1},
                                         {"2 to 4", 1},
                                         {"from 8", 1}}));
  EXPECT_EQ(summary["aspect_ratios"], (Json{{"taller than 1:2", 1},
                                            {"1:2", 1},
                                            {"2:3", 1},
                                            {"1:1", 1},
                                            {"16:9", 1},
                                            {"wider than 2:1", 1}}));
}

}  // namespace

}  // namespace crescendo::pipelines
