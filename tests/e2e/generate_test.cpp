#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint8_t> pixels_of(const fs::path& file) {
  const std::string bytes = content_of(file);
  return dataloader::decode_image(std::as_bytes(std::span(bytes))).pixels;
}

std::string parameters_of(const fs::path& file) {
  const std::string bytes = content_of(file);
  return dataloader::read_image_text(std::as_bytes(std::span(bytes)))["parameters"];
}

/// A small Stable Diffusion, trained once; pictures are 16x16.
class GenerateCommandTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    const fs::path clip =
        fs::path(CRESCENDO_SOURCE_DIR) / "tests/parity/fixtures/text_encoder/clip_published";
    write_train_config(*folder_ / "c.toml", run(), "text");
    const Outcome trained = crescendo(with_overrides(
        {"train", (*folder_ / "c.toml").string()},
        {"text_encoder.path=" + clip.string(), "unet.cross_attention_dim=8", "sample.every=0"}));
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    ASSERT_EQ(generate({"-p", "a cat", "-s", "3", "-o", path("first.png")}).exit_code, 0);
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string run() { return (*folder_ / "run").string(); }
  static std::string path(const std::string& name) { return (*folder_ / name).string(); }

  static Outcome generate(std::vector<std::string> flags, const std::string& model = run()) {
    flags.insert(flags.begin(), {"generate", "-m", model, "--steps", "4"});
    return crescendo(flags);
  }

  /// The same with nothing but an output and `flags` beside the picture to draw again.
  static Outcome replay(const std::string& picture, const std::string& output,
                        std::vector<std::string> flags = {}) {
    flags.insert(flags.begin(), {"generate", "--from-image", path(picture), "-o", path(output)});
    return crescendo(flags);
  }

  /// A PNG with a text "parameters" alone.
  static void write_picture(const std::string& name, const std::string& parameters) {
    const dataloader::Image picture{1, 1, {1, 2, 3}};
    const auto png = dataloader::encode_png(picture, {}, {{"parameters", parameters}});
    write_file_atomically(path(name), {reinterpret_cast<const char*>(png.data()), png.size()});
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* GenerateCommandTest::folder_ = nullptr;

TEST_F(GenerateCommandTest, APictureIsDrawnAgainBitForBit) {
  ASSERT_EQ(replay("first.png", "again.png").exit_code, 0);
  EXPECT_TRUE(content_of(path("again.png")) == content_of(path("first.png")));
  ASSERT_EQ(generate({"-p", "a cat", "-s", "3", "-o", path("twice.png")}).exit_code, 0);
  EXPECT_TRUE(content_of(path("twice.png")) == content_of(path("first.png")));
}

TEST_F(GenerateCommandTest, APictureOfAnUnconditionalModelIsDrawnAgainToo) {
  write_train_config(path("plain.toml"), path("plain"), "none");
  const Outcome trained = crescendo(
      with_overrides({"train", path("plain.toml")}, {"sample.every=0", "train.max_train_steps=3"}));
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  ASSERT_EQ(generate({"-s", "3", "-o", path("plain.png")}, path("plain")).exit_code, 0);
  const Outcome again = replay("plain.png", "plain-again.png");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(content_of(path("plain-again.png")) == content_of(path("plain.png")));
}

TEST_F(GenerateCommandTest, EveryFlagIsInThePicture) {
  ASSERT_EQ(generate({"-p",
                      "a \"cat\", \u732B",
                      "-n",
                      "dog",
                      "-W",
                      "24",
                      "--sampler",
                      "euler_a",
                      "--scheduler",
                      "karras",
                      "--cfg-scale",
                      "3.25",
                      "--guidance-interval",
                      "0.1,0.9",
                      "--guidance-rescale",
                      "0.5",
                      "-i",
                      path("first.png"),
                      "--mask",
                      path("first.png"),
                      "--strength",
                      "0.8",
                      "-o",
                      path("all.png")})
                .exit_code,
            0);
  ASSERT_EQ(replay("all.png", "all_again.png").exit_code, 0);
  EXPECT_TRUE(content_of(path("all_again.png")) == content_of(path("all.png")));
}

TEST_F(GenerateCommandTest, JpegAndWebpAreDrawnAgainByTheirText) {
  const auto draw = [&](const std::string& name) {
    return generate({"-p",
                     "a cat, 4k",
                     "-n",
                     "dog",
                     "-s",
                     "3",
                     "-W",
                     "24",
                     "--sampler",
                     "dpm++2m",
                     "--scheduler",
                     "discrete",
                     "--cfg-scale",
                     "3.25",
                     "--guidance-interval",
                     "0.1,0.9",
                     "--guidance-rescale",
                     "0.5",
                     "-o",
                     path(name)})
        .exit_code;
  };
  ASSERT_EQ(draw("text.png"), 0);
  for (const char* name : {"text.jpg", "text.webp"}) {
    ASSERT_EQ(draw(name), 0);
    const Outcome again = replay(name, "text_again.png", {"-m", run()});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(again.err.find("differ"), std::string::npos) << again.err;
    EXPECT_TRUE(content_of(path("text_again.png")) == content_of(path("text.png"))) << name;
  }
}

TEST_F(GenerateCommandTest, APictureOfTheWebUiIsDrawnAsFarAsItTells) {
  write_picture("webui.png",
                "a cat\nNegative prompt: dog\nSteps: 4, Sampler: DPM++ 2M Karras, CFG scale: 3, "
                "Seed: 3, Size: 16x24, Model hash: 6ce0161689, Model: sd15, Clip skip: 2, Version: "
                "v1.9.4");
  expect_error(replay("webui.png", "x.png"),
               "sd15: does not exist; --model expects a model folder");
  const Outcome again = replay("webui.png", "webui_again.png", {"-m", run()});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find("webui.png: cannot be drawn with Clip skip: 2; the picture will differ"),
            std::string::npos)
      << again.err;
  ASSERT_EQ(generate({"-p", "a cat", "-n", "dog", "--sampler", "dpm++2m", "--scheduler", "karras",
                      "--cfg-scale", "3", "-s", "3", "-W", "16", "-H", "24", "-o",
                      path("webui_flags.png")})
                .exit_code,
            0);
  EXPECT_TRUE(content_of(path("webui_again.png")) == content_of(path("webui_flags.png")));
}

TEST_F(GenerateCommandTest, SchedulerIsACurveOrASpacing) {
  const auto drawn = [&](const std::string& scheduler) {
    const std::string name = scheduler + ".png";
    EXPECT_EQ(generate({"-p", "a cat", "--sampling_method", "euler", "--scheduler", scheduler, "-o",
                        path(name)})
                  .exit_code,
              0);
    EXPECT_EQ(replay(name, "scheduled.png").exit_code, 0);
    EXPECT_TRUE(content_of(path("scheduled.png")) == content_of(path(name))) << scheduler;
    return pixels_of(path(name));
  };
  EXPECT_NE(drawn("trailing"), drawn("leading"));
  EXPECT_NE(drawn("karras"), drawn("exponential"));
  EXPECT_EQ(drawn("uniform"), drawn("discrete"));
}

TEST_F(GenerateCommandTest, FlagsBesideThePictureWin) {
  ASSERT_EQ(replay("first.png", "more.png", {"--steps", "5", "-p", "a dog"}).exit_code, 0);
  EXPECT_TRUE(parameters_of(path("more.png")).starts_with("a dog\nSteps: 5, Sampler: DDIM, "))
      << parameters_of(path("more.png"));
  EXPECT_NE(parameters_of(path("more.png")).find(", Seed: 3, "), std::string::npos);
  EXPECT_NE(pixels_of(path("more.png")), pixels_of(path("first.png")));
}

TEST_F(GenerateCommandTest, PicturesTakeTheirNamesFromThePattern) {
  const Outcome outcome = generate({"-p", "a cat", "-p", "a dog", "-s", "3", "-b", "2", "-o",
                                    path("o/{prompt}-{seed}.%02d.jpg"), "--grid", path("o/g.webp"),
                                    "--batch-size", "3", "--quality", "80"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::string expected;
  for (const char* name :
       {"a_cat-3.00.jpg", "a_cat-4.01.jpg", "a_dog-3.02.jpg", "a_dog-4.03.jpg"}) {
    expected += path("o/") + name + "\n";
    EXPECT_EQ(pixels_of(path("o/") + name).size(), 16U * 16 * 3);
  }
  EXPECT_EQ(outcome.out, expected + path("o/g.webp") + "\n");
  EXPECT_EQ(pixels_of(path("o/g.webp")).size(), 34U * 34 * 3);
}

TEST_F(GenerateCommandTest, BatchesChangeNoPicture) {
  const std::vector<std::string> four{"-p", "a cat", "-s", "2", "-b", "4"};
  for (const char* size : {"1", "4"}) {
    std::vector<std::string> flags = four;
    flags.insert(flags.end(), {"--batch-size", size, "-o", path(size) + "/{seed}.png"});
    ASSERT_EQ(generate(flags).exit_code, 0);
  }
  // One at a time, to the bit; together, to what the kernels round otherwise.
  EXPECT_TRUE(content_of(path("1/3.png")) == content_of(path("first.png")));
  for (const char* name : {"2.png", "3.png", "4.png", "5.png"}) {
    const auto alone = pixels_of(path("1/") + name);
    const auto together = pixels_of(path("4/") + name);
    for (std::size_t i = 0; i < alone.size(); ++i) ASSERT_NEAR(alone[i], together[i], 1) << name;
  }
}

TEST_F(GenerateCommandTest, ARunThatIsNotFinishedDrawsWithItsNewestAverage) {
  fs::copy(run(), path("unfinished"), fs::copy_options::recursive);
  fs::remove_all(path("unfinished") + "/model");
  const Outcome outcome =
      generate({"-p", "a cat", "-s", "3", "-o", path("u.png")}, path("unfinished"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("draws with the averaged weights of "), std::string::npos);
  EXPECT_EQ(pixels_of(path("u.png")), pixels_of(path("first.png")));
  fs::remove(path("unfinished") + "/checkpoints/step-00000006/ema.safetensors");
  const Outcome damaged =
      generate({"-p", "a cat", "-s", "3", "-o", path("u.png")}, path("unfinished"));
  EXPECT_NE(damaged.err.find("passes over a damaged checkpoint: "), std::string::npos);
  EXPECT_NE(damaged.err.find("step-00000003"), std::string::npos) << damaged.err;
}

TEST_F(GenerateCommandTest, ASingleFileDrawsAsTheFolderItIsOf) {
  const std::string file = path("single.safetensors");
  ASSERT_EQ(crescendo({"convert", run(), file}).exit_code, 0);
  const Outcome outcome = generate({"--config", run() + "/model", "-p", "a cat", "-s", "3", "-W",
                                    "16", "-H", "16", "-o", path("s.png")},
                                   file);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(pixels_of(path("s.png")), pixels_of(path("first.png")));
  expect_error(generate({"-p", "a cat", "-o", path("s.png")}, file), "--config FOLDER");
  expect_error(generate({"-p", "a cat", "-o", path("s.png"), "--config", run()}),
               "--config: is for a single file");
}

TEST_F(GenerateCommandTest, PreviewIsWrittenOnTheWay) {
  ASSERT_EQ(generate({"-p", "a cat", "-b", "2", "-o", path("pair.png"), "--preview",
                      path("preview.jpg"), "--preview-every", "2"})
                .exit_code,
            0);
  EXPECT_EQ(pixels_of(path("preview.jpg")).size(), 34U * 16 * 3);
}

TEST_F(GenerateCommandTest, CutPromptsAreNamed) {
  std::string prompt = "a cat";
  for (int i = 0; i < 80; ++i) prompt += " and a dog";
  const Outcome outcome = generate({"-p", prompt + " in Paris", "-o", path("long.png")});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("its end is cut: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" and a dog in Paris"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("a cat"), std::string::npos) << outcome.err;
}

TEST_F(GenerateCommandTest, MistakesOfTheUser) {
  const std::string out = path("never.png");
  const auto with = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"-p", "a cat", "-o", out});
    return generate(flags);
  };
  expect_error(with({"--sampler", "eulr"}), "eulr not in {ddim,ddpm,euler,");
  expect_error(with({"-W", "18"}), "found 18; the nearest are 16 and 20");
  expect_error(with({"--strength", "0"}),
               "--strength: expected more than 0 and at most 1, found 0");
  expect_error(with({"--mask", path("first.png")}), "--mask: expected a picture that it is of");
  expect_error(with({"-i", path("nowhere.png")}), path("nowhere.png") + ": cannot read: ");
  expect_error(with({"-i", run() + "/config.toml"}), "config.toml: unsupported image format");
  expect_error(with({"-i", path("first.png"), "--strength", "0.1"}), "takes 0 of 4 steps");
  expect_error(with({"--guidance-interval", "0.8,0.2"}), "0 <= LO <= HI <= 1, found 0.8,0.2");
  expect_error(with({"-n", "\xFF"}), "--negative-prompt: expected UTF-8");
  expect_error(with({"--grid", path("g.gif")}), "g.gif: expected a name ending in .png");
  expect_error(with({"--grid", out}), "never.png: is the name of a picture (-o)");
  expect_error(crescendo({"generate", "-p", "a cat", "-o", out}), "--model: expected a model ");
  expect_error(replay("never.png", "x.png"), "never.png: cannot read: ");
  EXPECT_FALSE(fs::exists(out));
}

TEST_F(GenerateCommandTest, WhatCannotBeDrawnAgain) {
  ASSERT_EQ(generate({"-p", "a cat", "-b", "2", "-o", path("grid.png")}).exit_code, 0);
  expect_error(replay("grid.png", "x.png"), "grid.png: a grid of 2 pictures; expected one picture");
  make_picture(path("plain.png"), 1);
  expect_error(replay("plain.png", "x.png"),
               "plain.png: expected a picture that tells how it was made");
  ASSERT_EQ(generate({"-p", "a cat", "-b", "2", "-o", path("grid.jpg")}).exit_code, 0);
  expect_error(replay("grid.jpg", "x.png"), "grid.jpg: a grid of pictures; expected one picture");
  write_picture("broken.png", "a cat\nSteps: ten, Sampler: DDIM, Seed: 1");
  expect_error(replay("broken.png", "x.png"),
               "broken.png: the text 'parameters' is malformed at Steps: ten");
}

}  // namespace
}  // namespace crescendo::e2e
