#include "core/parallel_for.h"

#include <ATen/Parallel.h>

#ifndef _OPENMP
#error "to be compiled with OpenMP, or ATen's threads are not used"
#endif

namespace crescendo {

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  at::parallel_for(0, count, grain, work);
}

}  // namespace crescendo
