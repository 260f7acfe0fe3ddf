#include "core/memory_use.h"

#include <vector>

#include <gtest/gtest.h>

namespace crescendo {
namespace {

TEST(MemoryUseTest, GrowsByWhatIsTouched) {
  const std::int64_t before = resident_bytes();
  EXPECT_GT(before, 1 << 20);
  const std::vector<char> touched(64 << 20, 1);
  EXPECT_GE(resident_bytes() - before, 60 << 20);
  EXPECT_EQ(touched.back(), 1);
}

TEST(MemoryUseTest, RemembersItsPeak) {
  const std::int64_t before = resident_bytes();
  { const std::vector<char> touched(64 << 20, 1); }
  EXPECT_GE(peak_resident_bytes() - before, 60 << 20);
}

}  // namespace
}  // namespace crescendo
