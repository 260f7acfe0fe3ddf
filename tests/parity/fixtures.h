#pragma once

#include <cstdlib>
#include <filesystem>

namespace crescendo {

/// Where the reference's models, inputs and outputs lie: $CRESCENDO_FIXTURES (a fresh set made by
/// tests/parity/generate.py), else the committed set.
inline std::filesystem::path parity_fixtures() {
  const char* fresh = std::getenv("CRESCENDO_FIXTURES");
  return fresh != nullptr ? fresh : CRESCENDO_SOURCE_DIR "/tests/parity/fixtures";
}

}  // namespace crescendo
