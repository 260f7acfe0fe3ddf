#include "dataloader/report.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/logged_text.h"

namespace crescendo::dataloader {

namespace {

const Defect kCorrupt{"corrupt image", "JPEG: cut"};

TEST(ReportTest, SumsUp) {
  EXPECT_EQ(Report{}.summary(), "0 of 0 samples skipped");
  const Report report{97, 0, {{"corrupt image", 2}, {"no caption", 1}}, {}};
  EXPECT_EQ(report.bad_count(), 3U);
  EXPECT_EQ(report.summary(), "3 of 100 samples skipped: 2 corrupt image, 1 no caption");
}

TEST(BadSamplesTest, CountsAndNamesEachOnce) {
  BadSamples samples(1);
  for (int epoch = 0; epoch < 2; ++epoch) {
    samples.count_good();
    samples.count_bad("x.tar", "a", kCorrupt);
    samples.count_bad("y.tar", "", {"damaged shard", "y.tar: cut"});
    samples.end_epoch(true);
  }
  EXPECT_EQ(samples.report().summary(), "4 of 6 samples skipped: 2 corrupt image, 2 damaged shard");
  EXPECT_EQ(samples.report().named, (std::vector<std::string>{"x.tar: a: corrupt image: JPEG: cut",
                                                              "y.tar: damaged shard: y.tar: cut"}));
}

TEST(BadSamplesTest, NamesTheFirstTwenty) {
  BadSamples samples(1);
  for (int i = 0; i < 50; ++i) samples.count_bad("x.tar", std::to_string(i), kCorrupt);
  ASSERT_EQ(samples.report().named.size(), 20U);
  EXPECT_EQ(samples.report().named.back(), "x.tar: 19: corrupt image: JPEG: cut");
  EXPECT_EQ(samples.report().bad_count(), 50U);
}

TEST(BadSamplesTest, EndsPastTheAllowedShare) {
  BadSamples samples(0.1);
  for (int i = 0; i < 90; ++i) samples.count_good();
  for (int i = 0; i < 10; ++i) samples.count_bad("x.tar", std::to_string(i), kCorrupt);
  EXPECT_EQ(error_text([&] { samples.count_bad("x.tar", "k", kCorrupt); }),
            "data.shards: too many unusable samples; data.max_bad_fraction is 0.1; 11 of 101 "
            "samples skipped: 11 corrupt image; the first: x.tar: 0: corrupt image: JPEG: cut");
}

TEST(BadSamplesTest, JudgesNoEpochByItsFirstHundred) {
  BadSamples samples(0);
  for (int i = 0; i < 99; ++i) samples.count_bad("x.tar", "a", kCorrupt);
  EXPECT_NE(error_text([&] { samples.count_bad("x.tar", "a", kCorrupt); }), "");
}

TEST(BadSamplesTest, CountsEachEpochAnew) {
  BadSamples samples(0.5);
  for (int epoch = 0; epoch < 5; ++epoch) {
    for (int i = 0; i < 60; ++i) samples.count_good();
    for (int i = 0; i < 60; ++i) samples.count_bad("x.tar", "a", kCorrupt);
    samples.end_epoch(true);
  }
  EXPECT_EQ(samples.report().bad_count(), 300U);
}

TEST(BadSamplesTest, TellsOfColourProfilesOnce) {
  BadSamples samples(1);
  const auto epoch = [&](int profiles) {
    return logged_text([&] {
      for (int i = 0; i < 5; ++i) samples.count_good(i < profiles);
      samples.end_epoch(true);
    });
  };
  EXPECT_EQ(epoch(0), "");
  EXPECT_EQ(epoch(3),
            "3 of 5 images of this epoch have a colour profile (ICC), which is ignored\n");
  EXPECT_EQ(epoch(3), "");
  EXPECT_EQ(samples.report().profiles, 6U);
}

TEST(BadSamplesTest, EndsAnEpochWithNothingToUse) {
  BadSamples samples(1);
  EXPECT_EQ(error_text([&] { samples.end_epoch(true); }),
            "data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
  samples.count_bad("x.tar", "a", {"no caption", "expected a member txt, found jpg"});
  EXPECT_EQ(error_text([&] { samples.end_epoch(true); }),
            "data.shards: no usable sample; 1 of 1 samples skipped: 1 no caption; the first: "
            "x.tar: a: no caption: expected a member txt, found jpg");
}

TEST(BadSamplesTest, ForgivesTheRestOfAResumedEpoch) {
  BadSamples samples(1);
  samples.end_epoch(false);
  samples.count_bad("x.tar", "a", kCorrupt);
  samples.end_epoch(false);
  EXPECT_NE(error_text([&] { samples.end_epoch(true); }), "");
}

}  // namespace

}  // namespace crescendo::dataloader
