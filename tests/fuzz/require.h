#pragma once

#include <cstdio>
#include <cstdlib>

namespace crescendo::fuzz {

/// What must hold for every input. Fuzzers take an abort for a finding.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace crescendo::fuzz
