#include "pipelines/runs/checkpoint.h"

#include <fstream>

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

void overwrite(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    write_checkpoint(path_, {.step = 7,
                             .state = {{"mark", 70}},
                             .files = {{"weights.safetensors", {{"w", at::ones({3})}}},
                                       {"ema.safetensors", {{"w", at::zeros({2})}}}}});
  }

  TemporaryFolder folder_;
  fs::path path_ = checkpoint_path(folder_.path(), 7);
};

TEST_F(CheckpointTest, HoldsWhatItWasGiven) {
  EXPECT_NO_THROW(verify_checkpoint(path_));
  EXPECT_EQ(read_checkpoint_state(path_), (nlohmann::json{{"mark", 70}, {"step", 7}}));
  EXPECT_TRUE(load_tensors(path_ / "weights.safetensors").at("w").equal(at::ones({3})));
  EXPECT_EQ(list_checkpoints(folder_.path()).at(0).step, 7);
}

TEST_F(CheckpointTest, EveryFlippedBitIsFound) {
  for (const char* name :
       {"weights.safetensors", "ema.safetensors", "state.json", "manifest.json"}) {
    const std::string content = read_file(path_ / name);
    for (std::size_t i = 0; i < content.size(); ++i) {
      std::string damaged = content;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      overwrite(path_ / name, damaged);
      EXPECT_THROW(verify_checkpoint(path_), DataError) << name << " at " << i;
    }
    overwrite(path_ / name, content);
    EXPECT_NO_THROW(verify_checkpoint(path_));
  }
}

TEST_F(CheckpointTest, EveryCutIsFound) {
  for (const char* name :
       {"weights.safetensors", "ema.safetensors", "state.json", "manifest.json"}) {
    const std::string content = read_file(path_ / name);
    // Without its last byte, a line break, a manifest says the same.
    const std::size_t end = content.size() - (content.back() == '\n' ? 1 : 0);
    for (std::size_t size = 0; size < end; ++size) {
      overwrite(path_ / name, content.substr(0, size));
      EXPECT_THROW(verify_checkpoint(path_), DataError) << name << " of " << size;
    }
    overwrite(path_ / name, content);
  }
}

TEST_F(CheckpointTest, MissingFilesAreNamed) {
  for (const char* name :
       {"weights.safetensors", "ema.safetensors", "state.json", "manifest.json"}) {
    const std::string content = read_file(path_ / name);
    fs::remove(path_ / name);
    EXPECT_EQ(data_error_text([&] { verify_checkpoint(path_); }),
              (path_ / name).string() + ": the file is missing");
    overwrite(path_ / name, content);
  }
}

TEST_F(CheckpointTest, SaysWhatIsNotAsItWasWritten) {
  overwrite(path_ / "ema.safetensors", "123456789");
  EXPECT_TRUE(
      data_error_text([&] { verify_checkpoint(path_); }).ends_with("found 9 with cbf43926"));
}

TEST_F(CheckpointTest, AStateWithoutItsStepIsMalformed) {
  for (const char* text : {"[]", "{}", R"({"step":-1})", R"({"step":"7"})"}) {
    overwrite(path_ / "state.json", text);
    EXPECT_EQ(data_error_text([&] { read_checkpoint_state(path_); }),
              (path_ / "state.json").string() +
                  ": expected the state of a checkpoint, with its \"step\"");
  }
}

TEST_F(CheckpointTest, ListsFoldersOfStepsOnly) {
  for (const char* name :
       {"step-00000009.77.crescendo-tmp", "step-", "step-1x", "other-00000001"}) {
    fs::create_directory(folder_ / "checkpoints" / name);
  }
  write_file_atomically(folder_ / "checkpoints" / "step-00000008", "a file");
  const auto found = list_checkpoints(folder_.path());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].path, path_);
  EXPECT_TRUE(list_checkpoints(folder_ / "nowhere").empty());
}

TEST_F(CheckpointTest, AListThatCannotBeReadIsNotAnEmptyOne) {
  fs::create_directory(folder_ / "run");
  write_file_atomically(folder_ / "run" / "checkpoints", "a file");
  EXPECT_EQ(error_text([&] { list_checkpoints(folder_ / "run"); }),
            (folder_ / "run" / "checkpoints").string() + ": cannot be read: Not a directory");
}

TEST_F(CheckpointTest, CopiesStayWhatTheyWere) {
  const at::Tensor weight = at::ones({2}).set_requires_grad(true);
  const auto copies = copy_to_host({{"a", {{"w", weight}}}});
  weight.detach().zero_();
  EXPECT_TRUE(copies.at("a").at("w").equal(at::ones({2})));
  EXPECT_FALSE(copies.at("a").at("w").requires_grad());
}

TEST_F(CheckpointTest, DeletedWithoutATrace) {
  delete_checkpoint(path_);
  EXPECT_TRUE(fs::is_empty(folder_ / "checkpoints"));
}

}  // namespace
}  // namespace crescendo::pipelines
