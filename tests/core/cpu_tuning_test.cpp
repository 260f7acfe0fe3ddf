#include <cstdlib>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ATen/Functions.h>

namespace crescendo {

namespace {

long page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

TEST(CpuTuningTest, FreedMemoryIsUsedAgain) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps freed memory to itself";
#endif
  constexpr std::int64_t kFloats = 4 << 20;        // 16 MiB, 4096 pages
  for (int i = 0; i < 3; ++i) at::zeros(kFloats);  // until there is room, aligned
  const long before = page_faults();
  for (int i = 0; i < 10; ++i) at::zeros(kFloats);
  EXPECT_LT(page_faults() - before, 400);
}

TEST(CpuTuningTest, WaitingThreadsSoonSleep) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) GTEST_SKIP() << "OMP_WAIT_POLICY is set";
  EXPECT_NE(std::getenv("GOMP_SPINCOUNT"), nullptr);
}

}  // namespace

}  // namespace crescendo
