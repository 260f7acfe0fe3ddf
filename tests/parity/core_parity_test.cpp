#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/safetensors.h"
#include "core/tensor_io.h"
#include "tests/core/temporary_folder.h"
#include "tests/parity/fixtures.h"

namespace crescendo {

namespace {

/// Why the file is rejected, or "".
std::string rejection_of(const std::string& file) {
  try {
    parse_safetensors(std::as_bytes(std::span(file)), "case");
  } catch (const DataError& failure) {
    return failure.what();
  }
  return "";
}

/// Where this reader is stricter than the reference on purpose: what the format's description
/// forbids (a key twice), what only the reference's parser allows (a list for an object) and what
/// no tensor could have (a dimension beyond int64).
bool is_stricter(const std::string& rejection) {
  return rejection.ends_with("twice in one object") || rejection.ends_with("expected an object") ||
         rejection.ends_with("its shape overflows 64 bits");
}

TEST(SafetensorsParityTest, AcceptsAndRejectsAsTheReference) {
  const auto cases = read_json_file(parity_fixtures() / "core/safetensors_cases.json");
  ASSERT_GT(cases.size(), 300U);
  for (const auto& item : cases) {
    const std::string file = from_hex(item["file"].get<std::string>());
    const std::string rejection = rejection_of(file);
    const bool agrees = rejection.empty() == item["accepted"].get<bool>();
    EXPECT_TRUE(agrees || is_stricter(rejection))
        << "the reference " << (rejection.empty() ? "rejects" : "accepts") << " what is here "
        << (rejection.empty() ? "accepted" : "rejected: " + rejection) << "\n  "
        << testing::PrintToString(file);
  }
}

TEST(SafetensorsParityTest, WritesTheReferencesBytes) {
  const TemporaryFolder folder;
  const auto reference = parity_fixtures() / "core/written.safetensors";
  save_tensors(folder / "written.safetensors", load_tensors(reference),
               SafetensorsFile(reference).header().metadata);
  EXPECT_EQ(read_file(folder / "written.safetensors"), read_file(reference));
}

}  // namespace

}  // namespace crescendo
