#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/safetensors.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

/// A text model, and LoRAs trained on it.
class LoraCommandTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    write_train_config(*folder_ / "base.toml", *folder_ / "base", "text");
    const Outcome trained =
        crescendo(with_overrides({"train", (*folder_ / "base.toml").string()},
                                 {"train.max_train_steps=3", "sample.every=0"}));
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  static void TearDownTestSuite() { delete std::exchange(folder_, nullptr); }

  static std::string base() { return (*folder_ / "base/model").string(); }

  /// Trains a LoRA of rank 2 into the folder `name`.
  static Outcome train(const std::string& name, std::vector<std::string> overrides,
                       const std::vector<std::string>& flags = {}) {
    const fs::path config = *folder_ / (name + ".toml");
    write_train_config(config, *folder_ / name, "text");
    std::vector<std::string> arguments{"train", config.string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    overrides.insert(overrides.begin(),
                     {"unet.path=" + base(), "lora.rank=2", "lora.alpha=8",
                      "train.learning_rate=0.05", "train.gradient_accumulation_steps=2"});
    return crescendo(with_overrides(arguments, overrides));
  }

  static std::string drawn(const std::vector<std::string>& loras,
                           const std::string& model = base()) {
    const fs::path picture = *folder_ / "picture.png";
    std::vector<std::string> arguments{"generate", "-m", model,           "-p", "cups", "--steps",
                                       "2",        "-o", picture.string()};
    for (const std::string& lora : loras) arguments.insert(arguments.end(), {"--lora", lora});
    const Outcome outcome = crescendo(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string bytes = content_of(picture);
    return bytes.substr(bytes.find("IDAT"));  // what made it stands before
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* LoraCommandTest::folder_ = nullptr;

std::vector<std::string> names_in(const fs::path& file) {
  std::vector<std::string> names;
  const SafetensorsFile opened(file);
  for (const SafetensorsEntry& entry : opened.header().entries) names.push_back(entry.name);
  return names;
}

TEST_F(LoraCommandTest, ResumedTrainingEqualsUninterruptedBitForBit) {
  const Outcome whole = train("whole", {});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const fs::path file = *folder_ / "whole/model/pytorch_lora_weights.safetensors";
  EXPECT_EQ(whole.out, file.string() + "\n");
  ASSERT_EQ(train("pieces", {"train.max_train_steps=3"}).exit_code, 0);
  ASSERT_EQ(train("pieces", {}, {"--resume"}).exit_code, 0);
  EXPECT_TRUE(content_of(*folder_ / "pieces/model/pytorch_lora_weights.safetensors") ==
              content_of(file));
  EXPECT_TRUE(content_of(*folder_ / "pieces/samples/step-00000006.png") ==
              content_of(*folder_ / "whole/samples/step-00000006.png"));
  // A checkpoint has A and B alone, under the names of peft.
  for (const char* weights : {"weights", "ema"}) {
    const auto names =
        names_in(*folder_ / fmt::format("whole/checkpoints/step-00000006/{}.safetensors", weights));
    EXPECT_EQ(names.size(), names_in(file).size());
    for (const std::string& name : names) {
      EXPECT_NE(name.find(".lora_"), std::string::npos) << name;
    }
  }
}

TEST_F(LoraCommandTest, ARunDrawsWithTheModelItIsTrainedOn) {
  ASSERT_EQ(train("drawn", {}).exit_code, 0);
  const fs::path run = *folder_ / "drawn";
  const std::string expected = drawn({run.string()});
  EXPECT_TRUE(drawn({}, run.string()) == expected);
  fs::remove_all(run / "model");  // as if it had not come to its end
  EXPECT_TRUE(drawn({}, run.string()) == expected);
}

TEST_F(LoraCommandTest, EmaMakesAnotherAverageAfterwards) {
  ASSERT_EQ(
      train("averaged", {"train.posthoc_ema=[0.05,0.1]", "train.posthoc_ema_every=2"}).exit_code,
      0);
  const fs::path output = *folder_ / "average";
  const Outcome made = crescendo(
      {"ema", (*folder_ / "averaged").string(), "--sigma-rel", "0.1", "--out", output.string()});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const fs::path file = output / "pytorch_lora_weights.safetensors";
  EXPECT_EQ(made.out, file.string() + "\n");
  const fs::path trained = *folder_ / "averaged/model/pytorch_lora_weights.safetensors";
  EXPECT_EQ(names_in(file), names_in(trained));
  EXPECT_FALSE(content_of(file) == content_of(trained));
  EXPECT_FALSE(drawn({output.string()}) == drawn({}));
}

TEST_F(LoraCommandTest, BothFormatsDrawTheSamePictureByWeight) {
  ASSERT_EQ(train("diffusers", {}).exit_code, 0);
  ASSERT_EQ(train("kohya", {"lora.format=kohya"}).exit_code, 0);
  const std::string run = (*folder_ / "diffusers").string();
  const std::string file = (*folder_ / "kohya/model/pytorch_lora_weights.safetensors").string();
  const std::string plain = drawn({});
  const std::string changed = drawn({run});
  EXPECT_FALSE(changed == plain);
  EXPECT_TRUE(drawn({run + ":1.0"}) == changed);
  EXPECT_TRUE(drawn({file}) == changed);
  EXPECT_TRUE(drawn({file + ":0"}) == plain);
  EXPECT_FALSE(drawn({file + ":0.5"}) == changed);
  EXPECT_FALSE(drawn({file, run}) == changed);
  const auto report = nlohmann::json::parse(crescendo({"inspect", file, "--json"}).out);
  EXPECT_EQ(report.at("kind"), "lora");
  EXPECT_EQ(report.at("layout"), "kohya");
  EXPECT_EQ(report.at("unet").at("rank"), 2);
  EXPECT_EQ(report.at("unet").at("alpha"), 8);
  EXPECT_EQ(report.at("unet").at("layers").at("attn2_to_k"), names_in(file).size() / 3 / 8);
  const auto of_run = nlohmann::json::parse(crescendo({"inspect", run, "--json"}).out);
  EXPECT_EQ(of_run.at("model").at("layout"), "peft");
  EXPECT_EQ(of_run.at("model").at("unet").at("layers").at("attn1.to_out.0"),
            names_in(file).size() / 3 / 8);
}

TEST_F(LoraCommandTest, MistakesOfTheUser) {
  EXPECT_EQ(error_line(train("a", {"lora.target_modules=[\"to_z\"]"})),
            "lora.target_modules: no linear map or convolution of the model is called 'to_z'; did "
            "you mean 'to_k'?");
  EXPECT_EQ(error_line(train("b", {"unet.path="})),
            "unet.path: lora.rank > 0 changes weights that are there; expected the folder of a "
            "U-Net or of a model, found none");
  ASSERT_EQ(train("c", {"train.max_train_steps=1", "sample.every=0"}).exit_code, 0);
  const std::string lora = (*folder_ / "c/model").string();
  EXPECT_EQ(error_line(crescendo({"generate", "-m", lora, "-p", "x", "-o", "x.png"})),
            lora +
                ": a LoRA, not a model; expected the model it was trained on, and this one as "
                "--lora " +
                lora);
  EXPECT_EQ(error_line(crescendo(
                {"generate", "-m", base(), "--lora", "/nowhere:x", "-p", "x", "-o", "x.png"})),
            "/nowhere:x: does not exist; expected the file of a LoRA, or a folder with "
            "pytorch_lora_weights.safetensors");
}

}  // namespace
}  // namespace crescendo::e2e
