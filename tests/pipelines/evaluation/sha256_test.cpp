#include "pipelines/evaluation/sha256.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

std::string sha256_of(std::string_view text) {
  Sha256 sha;
  sha.add(text);
  return sha.finish();
}

// The examples of FIPS 180-4.
TEST(Sha256Test, OfPublishedExamples) {
  EXPECT_EQ(sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, DoesNotDependOnThePieces) {
  Sha256 sha;
  std::string piece(997, 'a');
  std::size_t added = 0;
  for (; added + piece.size() <= 1'000'000; added += piece.size()) sha.add(piece);
  sha.add(piece.substr(0, 1'000'000 - added));
  EXPECT_EQ(sha.finish(), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Test, OfFilesIsThatOfTheirList) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "b", "abc");
  write_file_atomically(folder / "a", "");
  EXPECT_EQ(sha256_of_file(folder / "a"), sha256_of(""));
  EXPECT_EQ(sha256_of_files(folder.path(), {folder / "b", folder / "a"}),
            sha256_of(sha256_of("") + "  a\n" + sha256_of("abc") + "  b\n"));
}

}  // namespace
}  // namespace crescendo::pipelines
