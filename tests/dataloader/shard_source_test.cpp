#include "dataloader/shard_source.h"

#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataloader/descriptor.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/read_all.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

using std::chrono::seconds;

TEST(ShardSourceTest, ReadsAFifoThatIsWrittenLater) {
  const TemporaryFolder folder;
  const std::string path = (folder / "fifo").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto source = open_shard(path, seconds(20));
  const std::jthread writer([&] { std::ofstream(path) << "some" << std::flush << " bytes"; });
  EXPECT_EQ(text_of(read_all(*source)), "some bytes");
}

TEST(ShardSourceTest, GivesUpAFifoWithoutAWriter) {
  const TemporaryFolder folder;
  const std::string path = (folder / "fifo").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(data_error_text([&] { read_all(*open_shard(path, seconds(1))); }),
            path + ": no bytes for 1 seconds (data.pipe_timeout)");
}

TEST(ShardSourceTest, ReadsStandardInput) {
  const TemporaryFolder folder;
  write_bytes(folder / "in", bytes_of("given"));
  const Descriptor saved(::dup(STDIN_FILENO));
  ASSERT_NE(::freopen((folder / "in").c_str(), "r", stdin), nullptr);
  EXPECT_EQ(text_of(read_all(*open_shard("-", seconds(1)))), "given");
  ::dup2(saved.get(), STDIN_FILENO);
}

TEST(ShardSourceTest, NamesAFileThatIsNotThere) {
  EXPECT_EQ(error_text([] { open_shard("/nowhere.tar", seconds(1)); }),
            "/nowhere.tar: cannot open: No such file or directory");
}

}  // namespace

}  // namespace crescendo::dataloader
