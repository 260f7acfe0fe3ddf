#include "pipelines/distributed/nccl.h"

#include <array>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/pipelines/distributed/ranks_of_test.h"

namespace crescendo::pipelines {
namespace {

// With fake_nccl.cpp: what is called, with what. No GPU was ever seen by this.

TEST(NcclTest, JoinsWithTheIdOfRank0AndSums) {
  if (::dlsym(RTLD_DEFAULT, "crescendo_fake_nccl") == nullptr) GTEST_SKIP() << "not preloaded";
  const auto nccl = Nccl::join(ranks_of_test());
  ASSERT_TRUE(nccl);
  std::array<float, 3> numbers{1, 2, 3};
  nccl->sum(numbers.data(), numbers.size(), Number::kFloat32, nullptr);
  const auto size = static_cast<float>(ranks_of_test().size());
  EXPECT_EQ(numbers, (std::array<float, 3>{size, 2 * size, 3 * size}));
  EXPECT_EQ(error_text([&] { nccl->sum(numbers.data(), 1, Number::kFloat64, nullptr); }),
            "ncclAllReduce: invalid usage; NCCL_DEBUG=WARN in the environment tells more");
}

}  // namespace
}  // namespace crescendo::pipelines
