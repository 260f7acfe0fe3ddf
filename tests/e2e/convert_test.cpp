#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

/// A run whose model has a CLIP text encoder.
class ConvertCommandTest : public testing::Test {
 protected:
  ConvertCommandTest() {
    const fs::path clip =
        fs::path(CRESCENDO_SOURCE_DIR) / "tests/parity/fixtures/text_encoder/clip_published";
    write_train_config(folder_ / "c.toml", run_, "text");
    const Outcome trained = crescendo(
        with_overrides({"train", (folder_ / "c.toml").string()},
                       {"text_encoder.path=" + clip.string(), "unet.cross_attention_dim=8",
                        "sample.every=0", "train.max_train_steps=1"}));
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
  }

  void expect_error(const std::vector<std::string>& arguments, const std::string& text) const {
    std::vector<std::string> words{"convert"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    e2e::expect_error(crescendo(words), text);
  }

  TemporaryFolder folder_;
  std::string run_ = (folder_ / "run").string();
  std::string file_ = (folder_ / "m.safetensors").string();
  std::string again_ = (folder_ / "again").string();
};

TEST_F(ConvertCommandTest, ThereAndBackDrawsTheSamePicture) {
  const Outcome to_file = crescendo({"convert", run_, file_});
  EXPECT_EQ(to_file.exit_code, 0) << to_file.err;
  EXPECT_EQ(to_file.out, file_ + "\n");
  EXPECT_NE(to_file.err.find("weights alone"), std::string::npos) << to_file.err;
  const auto found = nlohmann::json::parse(crescendo({"inspect", file_, "--json"}).out);
  EXPECT_EQ(found.at("kind"), "single file");
  EXPECT_EQ(found.at("model"), "Stable Diffusion 1.x");
  const SafetensorsFile encoder(fs::path(run_) / "model/text_encoder/model.safetensors");
  EXPECT_EQ(found.at("text_encoder").at("tensors").at("F32"),
            std::ranges::count(encoder.header().entries, "F32", &SafetensorsEntry::dtype));
  const Outcome back = crescendo({"convert", file_, again_, "--config", run_});
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(back.out, again_ + "\n");
  std::vector<std::string> pictures;
  const std::string drawn = (folder_ / "drawn").string();  // a picture names its model
  const std::string picture = (folder_ / "p.png").string();
  for (const fs::path& model : {fs::path(run_) / "model", fs::path(again_)}) {
    fs::rename(model, drawn);
    const Outcome outcome = crescendo({"generate", "-m", drawn, "-p", "a cat", "-o", picture, "-W",
                                       "16", "-H", "16", "--steps", "2"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    pictures.push_back(content_of(picture));
    fs::remove_all(drawn);
  }
  EXPECT_TRUE(pictures[0] == pictures[1]);
}

TEST_F(ConvertCommandTest, MistakesOfTheUser) {
  expect_error({"/nowhere.safetensors", again_}, "/nowhere.safetensors: does not exist");
  expect_error({run_}, "OUT is required");
  expect_error({run_, run_}, "run: exists already");
  expect_error({run_, again_}, "again: nothing to convert to");
  expect_error({run_, file_, "--save-precision", "fp61"}, "fp61");
  write_file_atomically(folder_ / "v1.ckpt", "x");
  expect_error({(folder_ / "v1.ckpt").string(), again_}, "v1.ckpt: a pickle becomes one ");
  EXPECT_EQ(crescendo({"convert", run_, file_}).exit_code, 0);
  // The templates are found beside the executable; none is of this width.
  expect_error({file_, again_}, "found 8. Name a diffusers folder");
  EXPECT_FALSE(fs::exists(again_));
}

}  // namespace
}  // namespace crescendo::e2e
