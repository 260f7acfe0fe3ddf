#include "pipelines/evaluation/statistics_file.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "pipelines/evaluation/npz.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

TEST(StatisticsFileTest, KeepsWhatItIsOf) {
  const TemporaryFolder folder;
  const StoredStatistics written{
      .moments = {at::arange(3).to(at::kDouble), at::eye(3, at::kDouble)},
      .features = FeatureIdentity{"inception-v3", "ab12", "clean"},
      .samples = 50000,
      .images_sha256 = "cd34"};
  write_statistics(folder / "s.npz", written);
  const StoredStatistics found = read_statistics(folder / "s.npz");
  EXPECT_TRUE(at::equal(found.moments.mean, written.moments.mean));
  EXPECT_TRUE(at::equal(found.moments.covariance, written.moments.covariance));
  ASSERT_TRUE(found.features);
  EXPECT_EQ(found.features->name, "inception-v3");
  EXPECT_EQ(found.features->sha256, "ab12");
  EXPECT_EQ(found.features->resize, "clean");
  EXPECT_EQ(found.samples, 50000);
  EXPECT_EQ(found.images_sha256, "cd34");
}

class StatisticsFileErrorTest : public testing::Test {
 protected:
  std::string error_of(const Arrays& arrays) {
    write_npz(folder_ / "s.npz", arrays);
    const std::string text = data_error_text([&] { read_statistics(folder_ / "s.npz"); });
    return text.substr(std::min(text.size(), (folder_ / "s.npz").string().size()));
  }
  TemporaryFolder folder_;
};

TEST_F(StatisticsFileErrorTest, OtherToolsFilesHaveNoProvenance) {
  ASSERT_EQ(error_of({{"mu", at::ones({2})}, {"sigma", at::eye(2)}}), "");
  const StoredStatistics found = read_statistics(folder_ / "s.npz");
  EXPECT_FALSE(found.features);
  EXPECT_EQ(found.moments.mean.scalar_type(), at::kDouble);
}

TEST_F(StatisticsFileErrorTest, NamesWhatIsWrong) {
  EXPECT_EQ(error_of({{"mu", at::ones({2})}}), ": expected arrays mu and sigma, found no sigma");
  EXPECT_EQ(error_of({{"mu", at::ones({2})}, {"sigma", at::eye(3)}}),
            ": expected mu [D] and sigma [D, D], found [2] and [3, 3]");
  EXPECT_EQ(error_of({{"mu", at::log(at::zeros({2}))}, {"sigma", at::eye(2)}}),
            ": mu or sigma is not finite");
  EXPECT_NE(error_of({{"mu", at::ones({2})}, {"sigma", at::eye(2)}, {"provenance", at::ones({2})}})
                .find(": provenance: expected what Crescendo writes there"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
