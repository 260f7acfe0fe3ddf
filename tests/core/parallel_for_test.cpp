#include "core/parallel_for.h"

#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

namespace crescendo {
namespace {

TEST(ParallelForTest, UsesAllThreadsAndMissesNothing) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> used;
  std::vector<int> calls(1000, 0);
  parallel_for(1000, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++calls[i];
    const std::lock_guard lock(mutex);
    used.insert(std::this_thread::get_id());
  });
  at::set_num_threads(threads);
  EXPECT_EQ(used.size(), 2);
  EXPECT_EQ(calls, std::vector<int>(1000, 1));
}

}  // namespace
}  // namespace crescendo
