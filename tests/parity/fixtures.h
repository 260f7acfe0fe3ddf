#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace crescendo {

/// Where the reference's models, inputs and outputs lie: $CRESCENDO_FIXTURES (a fresh set made by
/// tests/parity/generate.py), else the committed set.
inline std::filesystem::path parity_fixtures() {
  const char* fresh = std::getenv("CRESCENDO_FIXTURES");
  return fresh != nullptr ? fresh : CRESCENDO_SOURCE_DIR "/tests/parity/fixtures";
}

/// The bytes that a fixture in JSON writes as hexadecimal digits.
inline std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace crescendo
