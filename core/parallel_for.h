#pragma once

#include <cstdint>
#include <functional>

namespace crescendo {

/// Calls `work(begin, end)` with ranges that together are [0, count), of at least `grain` numbers
/// each, on ATen's threads. ATen's own is a template, and without OpenMP in the file that calls it,
/// all of it is one thread's.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& work);

}  // namespace crescendo
