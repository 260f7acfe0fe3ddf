#include "dataloader/byte_source.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/read_all.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

TEST(ByteSourceTest, ReadsAFile) {
  const TemporaryFolder folder;
  const Bytes content(100'000, std::byte{7});
  write_bytes(folder / "f", content);
  EXPECT_EQ(read_all(*open_file(folder / "f"), 7777), content);
}

TEST(ByteSourceTest, NamesAFileThatIsNotThere) {
  EXPECT_EQ(error_text([] { open_file("/nowhere/a.tar"); }),
            "/nowhere/a.tar: cannot open: No such file or directory");
}

TEST(ByteSourceTest, NamesAFolder) {
  const TemporaryFolder folder;
  const auto source = open_file(folder.path());
  EXPECT_EQ(error_text([&] { read_all(*source); }),
            folder.path().string() + ": cannot read: Is a directory");
}

}  // namespace

}  // namespace crescendo::dataloader
