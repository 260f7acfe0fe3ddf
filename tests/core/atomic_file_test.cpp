#include "core/atomic_file.h"

#include <csignal>
#include <fstream>
#include <stdexcept>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

using Names = std::vector<std::string>;

TEST(AtomicFileTest, IsAbsentUntilCommitted) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a.txt");
  file.write("whole");
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
  ASSERT_EQ(names_in(folder.path()).size(), 1U);
  EXPECT_TRUE(is_temporary_name(names_in(folder.path())[0]));
  file.commit();
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
  EXPECT_EQ(read_file(folder / "a.txt"), "whole");
}

TEST(AtomicFileTest, LeavesTheOldFileWhenAbandoned) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  {
    AtomicFile file(folder / "a.txt");
    file.write("new, but");
  }
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
}

TEST(AtomicFileTest, ReplacesAndCounts) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "a longer old text");
  AtomicFile file(folder / "a.txt");
  file.write("new");
  file.write(std::string_view("\0text", 5));
  EXPECT_EQ(file.size(), 8U);
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), std::string("new\0text", 8));
}

TEST(AtomicFileTest, MakesParentFolders) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "b/c/a.txt", "x");
  EXPECT_EQ(read_file(folder / "b/c/a.txt"), "x");
}

TEST(AtomicFileTest, WorksInTheCurrentFolder) {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("a.txt", "x");
  fs::current_path(before);
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
}

TEST(AtomicFileTest, NamesTheFolderThatCannotBeMade) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "x");
  EXPECT_EQ(error_text([&] { const AtomicFile file(folder / "file/sub/a.txt"); }),
            (folder / "file/sub").string() + ": cannot create the folder: Not a directory");
}

TEST(AtomicFileTest, NamesTheFileThatCannotBeWritten) {
  EXPECT_EQ(error_text([] { const AtomicFile file("/proc/crescendo"); }),
            "/proc/crescendo: cannot write: No such file or directory");
}

TEST(AtomicFileTest, KeepsTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "old");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  ASSERT_NE(::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string message =
      error_text([&] { write_file_atomically(folder / "a.txt", std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(message, (folder / "a.txt").string() + ": cannot write: File too large");
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
}

TEST(AtomicFileTest, DoesNotReplaceAFolder) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a.txt");
  EXPECT_EQ(error_text([&] { write_file_atomically(folder / "a.txt", "x"); }),
            (folder / "a.txt").string() + ": cannot write: Is a directory");
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
}

TEST(AtomicFileTest, OverwritesWhatAKilledProcessLeft) {
  const TemporaryFolder folder;
  std::string leftover;
  {
    const AtomicFile file(folder / "a.txt");
    leftover = names_in(folder.path()).at(0);
  }
  std::ofstream(folder / leftover) << "half of a much longer text";
  write_file_atomically(folder / "a.txt", "whole");
  EXPECT_EQ(read_file(folder / "a.txt"), "whole");
  EXPECT_EQ(names_in(folder.path()), Names{"a.txt"});
}

TEST(AtomicFileTest, KnowsItsTemporaryNames) {
  EXPECT_FALSE(is_temporary_name("model.safetensors"));
  EXPECT_FALSE(is_temporary_name("step-00000010"));
  EXPECT_FALSE(is_temporary_name("a.tmp"));
}

TEST(AtomicFolderTest, IsAbsentUntilFilled) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "runs/step", [&](const fs::path& temporary) {
    EXPECT_FALSE(fs::exists(folder / "runs/step"));
    EXPECT_TRUE(is_temporary_name(temporary));
    EXPECT_EQ(temporary.parent_path(), folder / "runs");
    write_file_atomically(temporary / "sub/a.txt", "x");
  });
  EXPECT_EQ(read_file(folder / "runs/step/sub/a.txt"), "x");
  EXPECT_EQ(names_in(folder / "runs"), Names{"step"});
}

TEST(AtomicFolderTest, TheNameMayEndInASlash) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "step/", [](const fs::path& temporary) {
    write_file_atomically(temporary / "a.txt", "x");
  });
  EXPECT_EQ(names_in(folder.path()), Names{"step"});
  EXPECT_EQ(names_in(folder / "step"), Names{"a.txt"});
}

TEST(AtomicFolderTest, KeepsTheOldOneWhenFillingFails) {
  const TemporaryFolder folder;
  const auto fill_with = [](const char* text) {
    return [text](const fs::path& temporary) { write_file_atomically(temporary / "a.txt", text); };
  };
  write_folder_atomically(folder / "step", fill_with("old"));
  EXPECT_THROW(write_folder_atomically(folder / "step",
                                       [&](const fs::path& temporary) {
                                         fill_with("new")(temporary);
                                         throw std::runtime_error("interrupted");
                                       }),
               std::runtime_error);
  EXPECT_EQ(read_file(folder / "step/a.txt"), "old");
  EXPECT_EQ(names_in(folder.path()), Names{"step"});
}

TEST(AtomicFolderTest, ReplacesTheOldOneWhole) {
  const TemporaryFolder folder;
  write_folder_atomically(folder / "step", [](const fs::path& temporary) {
    write_file_atomically(temporary / "old.txt", "old");
  });
  write_folder_atomically(folder / "step", [](const fs::path& temporary) {
    write_file_atomically(temporary / "new.txt", "new");
  });
  EXPECT_EQ(names_in(folder / "step"), Names{"new.txt"});
  EXPECT_EQ(names_in(folder.path()), Names{"step"});
}

TEST(AtomicFolderTest, NamesTheFolderThatCannotBeMade) {
  EXPECT_EQ(error_text([] { write_folder_atomically("/proc/crescendo/step", [](const auto&) {}); }),
            "/proc/crescendo: cannot create the folder: No such file or directory");
}

TEST(ReadFileTest, NamesTheFileThatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_text([&] { read_file(folder / "a.txt"); }),
            (folder / "a.txt").string() + ": cannot read: No such file or directory");
  EXPECT_EQ(error_text([&] { read_file(folder.path()); }),
            folder.path().string() + ": cannot read: it is a folder");
}

}  // namespace

}  // namespace crescendo
