// How fast the ranks of this job sum: mpirun -n 4 build/bench/bench_ranks. The bandwidth is that of
// bench/scaling.py, of a ring.

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "core/log.h"
#include "core/stopwatch.h"
#include "pipelines/distributed/ranks.h"

namespace {

using crescendo::pipelines::Communicator;
using crescendo::pipelines::Number;

/// Seconds of one sum of `count` numbers of `bytes` each, the median of several.
double seconds_of_sum(Communicator& ranks, std::size_t count, std::size_t bytes, Number number) {
  std::vector<std::byte> numbers(count * bytes);
  std::vector<double> seconds(11);
  for (double& one : seconds) {
    ranks.any(false);  // all begin at once
    const crescendo::Stopwatch watch;
    ranks.start_sum(numbers.data(), count, number)->wait();
    one = watch.seconds();
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

void measure(Communicator& ranks) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{1} << 18, std::size_t{25} << 18}) {
    const double wide = seconds_of_sum(ranks, count, 4, Number::kFloat32);
    const double narrow = seconds_of_sum(ranks, count, 2, Number::kBfloat16);
    if (!ranks.leads()) continue;
    const double travels = 2.0 * (ranks.size() - 1) / ranks.size() * 4 * static_cast<double>(count);
    fmt::print("{:8} numbers: float32 {:.3f} ms, {:.2f} GB/s; bfloat16 {:.3f} ms\n", count,
               1e3 * wide, travels / wide / 1e9, 1e3 * narrow);
  }
}

}  // namespace

int main() {
  crescendo::log::start(false);
  crescendo::pipelines::run_on_ranks(measure);
}
