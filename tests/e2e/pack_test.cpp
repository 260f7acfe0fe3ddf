#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

constexpr int kPictures = 120;
constexpr std::size_t kPerShard = 6;

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = content_of(entry.path());
  }
  return files;
}

class PackTest : public testing::Test {
 protected:
  PackTest() {
    for (int i = 0; i < kPictures; ++i) {
      make_picture(folder_ / "in" / fmt::format("{}/{:03}.png", i % 2, i), i);
    }
  }

  std::vector<std::string> arguments(const std::string& output) const {
    return {"pack",          (folder_ / "in").string(), "--out",    (folder_ / output).string(),
            "--max-samples", std::to_string(kPerShard), "--resize", "16"};
  }

  /// Kills a pack once it has written so many shards; false when it was quicker.
  bool kill_behind(const std::vector<std::string>& words, const fs::path& output,
                   std::size_t shards) const {
    const fs::path shard = output / fmt::format("{:06}.tar", shards - 1);
    Program program(words);
    while (!fs::exists(shard)) {
      if (program.ended()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    program.kill();
    program.wait();
    return true;
  }

  TemporaryFolder folder_;
};

TEST_F(PackTest, KilledAndResumedEqualsUninterrupted) {
  ASSERT_EQ(crescendo(arguments("whole")).exit_code, 0);
  std::vector<std::string> words = arguments("parts");
  int kills = 0;
  for (const std::size_t shards : {1U, 2U, 5U, 11U, 17U}) {
    if (kill_behind(words, folder_ / "parts", shards)) ++kills;
    if (kills == 1) words.push_back("--resume");
  }
  EXPECT_GE(kills, 3);
  const Outcome outcome = crescendo(words);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("packed 120 samples into 20 shards\n"), std::string::npos);
  nlohmann::json whole = nlohmann::json::parse(content_of(folder_ / "whole/pack.json"));
  EXPECT_TRUE(whole["complete"].get<bool>());
  EXPECT_TRUE(files_of(folder_ / "parts") == files_of(folder_ / "whole"));
}

TEST_F(PackTest, ResumeRefusesOtherOptions) {
  ASSERT_EQ(crescendo(arguments("out")).exit_code, 0);
  std::vector<std::string> words = arguments("out");
  words.insert(words.end(), {"--seed", "3", "--resume"});
  const Outcome outcome = crescendo(words);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(error_line(outcome), (folder_ / "out/pack.json").string() +
                                     ": the pack cannot go on: seed was 0, now 3; give what it "
                                     "began with");
}

TEST_F(PackTest, SaysWhichLayoutItFound) {
  const std::string source = (folder_ / "in").string();
  EXPECT_NE(
      crescendo(arguments("a"))
          .err.find("captioned folder: 120 images, 0 with a caption in a .txt file beside them; 2 "
                    "classes, the top sub-folders"),
      std::string::npos);
  write_file_atomically(folder_ / "in/metadata.jsonl",
                        "{\"file_name\": \"0/000.png\", \"text\": \"a picture\"}\n"
                        "{\"file_name\": \"0/none.png\"}\n");
  const Outcome metadata = crescendo(arguments("b"));
  EXPECT_NE(metadata.out.find("packed 1 samples into 1 shards\n"), std::string::npos);
  for (const char* text :
       {"metadata: 1 images of metadata.jsonl, 1 with a caption",
        "1 files or rows left out:", "metadata.jsonl:2: 0/none.png: no such file",
        "119 images that no metadata file names (left out):"}) {
    EXPECT_NE(metadata.err.find(text), std::string::npos) << text << "\n" << metadata.err;
  }
  const Outcome tars =
      crescendo({"pack", (folder_ / "a/{000000..000009}.tar").string(),
                 (folder_ / "b/*.tar").string(), "--out", (folder_ / "c").string()});
  EXPECT_EQ(tars.exit_code, 0) << tars.err;
  EXPECT_NE(tars.err.find("tars: 61 samples of 11 tars, shuffled over all of them"),
            std::string::npos)
      << tars.err;
}

TEST_F(PackTest, ListsWhatItPacked) {
  ASSERT_EQ(crescendo(arguments("out")).exit_code, 0);
  const Outcome outcome = crescendo({"inspect", (folder_ / "out").string(), "--list"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), kPictures);
  const auto first = nlohmann::json::parse(outcome.out.substr(0, outcome.out.find('\n')));
  EXPECT_EQ(first["shard"], (folder_ / "out/000000.tar").string());
  EXPECT_EQ(first["members"].size(), 2U);
}

}  // namespace
}  // namespace crescendo::e2e
