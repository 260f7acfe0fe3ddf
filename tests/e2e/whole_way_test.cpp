#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;
using testing::Test;

dataloader::Image picture_in(const fs::path& file) {
  const std::string bytes = content_of(file);
  return dataloader::decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

void expect_size(const fs::path& file, std::int64_t width, std::int64_t height) {
  const dataloader::Image image = picture_in(file);
  EXPECT_EQ(image.width, width) << file;
  EXPECT_EQ(image.height, height) << file;
}

/// A model trained for a few steps, and what is drawn with it.
class WholeWayTest : public Test {
 protected:
  void train(const std::string& conditioning) {
    write_train_config(folder_ / "c.toml", run_, conditioning);
    const Outcome outcome = crescendo({"train", (folder_ / "c.toml").string()});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, (run_ / "model").string() + "\n");
    expect_run_files();
  }

  void expect_run_files() const {
    for (const char* name :
         {"config.toml", "log.txt", "metrics.jsonl", "model/model_index.json",
          "model/unet/diffusion_pytorch_model.safetensors",
          "model/vae/diffusion_pytorch_model.safetensors", "model/scheduler/scheduler_config.json",
          "checkpoints/step-00000003/weights.safetensors", "checkpoints/step-00000006/state.json",
          "samples/step-00000003.png", "samples/step-00000006.png", "index.html"}) {
      EXPECT_TRUE(fs::exists(run_ / name)) << name;
    }
    expect_watched();
  }

  /// The metrics, the page and the event file tell of the run.
  void expect_watched() const {
    std::ifstream lines(run_ / "metrics.jsonl");
    std::string line;
    std::getline(lines, line);
    const auto first = nlohmann::json::parse(line);
    EXPECT_EQ(first["images"], 4) << line;
    EXPECT_GE(first["data_seconds"], 0) << line;
    EXPECT_LT(first["data_seconds"], first["seconds"]) << line;
    EXPECT_GT(first["memory"], 1 << 20) << line;

    const std::string page = content_of(run_ / "index.html");
    EXPECT_NE(page.find("<title>run · finished · 100.0%</title>"), std::string::npos);
    EXPECT_NE(page.find("samples after step 6"), std::string::npos);

    std::string events;
    for (const auto& entry : fs::directory_iterator(run_)) {
      const fs::path& file = entry.path();
      if (file.filename().string().starts_with("events.out.tfevents.")) events += content_of(file);
    }
    for (const char* tag : {"train/loss", "samples", "config"}) {
      EXPECT_NE(events.find(tag), std::string::npos) << tag;
    }
  }

  /// Draws to OUTPUT with these flags; the lines of standard output are the files.
  std::vector<fs::path> generate(const std::string& output, std::vector<std::string> flags,
                                 const fs::path& input = "/dev/null") {
    std::vector<std::string> arguments{
        "generate", "-m", (run_ / "model").string(), "-o", (folder_ / output).string(),
        "--steps",  "2"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Outcome outcome = crescendo(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    std::vector<fs::path> files;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) files.emplace_back(line);
    return files;
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
};

TEST_F(WholeWayTest, Unconditional) {
  ASSERT_NO_FATAL_FAILURE(train("none"));
  EXPECT_EQ(generate("one.png", {}), std::vector<fs::path>{folder_ / "one.png"});
  expect_size(folder_ / "one.png", 16, 16);
  generate("wide.png", {"-W", "24", "-H", "20"});
  expect_size(folder_ / "wide.png", 24, 20);
  expect_size(run_ / "samples" / "step-00000006.png", 4 * 18 - 2, 4 * 18 - 2);

  const std::string weights = (run_ / "model/unet/diffusion_pytorch_model.safetensors").string();
  const Outcome no_latents =
      crescendo({"generate", "-m", run_.string(), "-o", "x.png", "--latents", weights});
  EXPECT_EQ(no_latents.exit_code, 2);
  EXPECT_EQ(
      error_line(no_latents),
      weights +
          ": expected a tensor 'latents' [N,C,h,w] with N = 1, one for each picture, found none");
}

TEST_F(WholeWayTest, LargePicturesInTilesAndSlices) {
  ASSERT_NO_FATAL_FAILURE(train("none"));
  const std::vector<std::string> large{"-W", "40", "-H", "36", "-b", "2", "--columns", "1"};
  const auto drawn = [&](const std::string& name, const std::vector<std::string>& flags) {
    std::vector<std::string> all = large;
    all.insert(all.end(), flags.begin(), flags.end());
    generate(name, all);
    expect_size(folder_ / name, 40, 2 * 36 + 2);
    return picture_in(folder_ / name).pixels;
  };
  const auto whole = drawn("whole.png", {});
  const auto sliced = drawn("sliced.png", {"--vae-slicing"});
  const auto tiled = drawn("tiled.png", {"--vae-tiling"});
  EXPECT_EQ(drawn("both.png", {"--vae_tiling", "--vae-slicing"}).size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(sliced[i], whole[i], 1);
  EXPECT_NE(tiled, whole);
}

TEST_F(WholeWayTest, TinyAutoencoder) {
  write_train_config(folder_ / "c.toml", run_, "none");
  const fs::path tiny = fs::path(CRESCENDO_SOURCE_DIR) / "tests/parity/fixtures/vae/tiny";
  const std::string path = fmt::format("vae.path={}", tiny.string());
  for (const char* cache : {"train.cache_latents=false", "train.cache_latents=true"}) {
    fs::remove_all(run_);
    const Outcome outcome =
        crescendo(with_overrides({"train", (folder_ / "c.toml").string()}, {path, cache}));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  generate("one.png", {"-W", "40", "--vae-tiling"});
  expect_size(folder_ / "one.png", 40, 16);
  const std::string model_folder = (run_ / "model").string();
  const auto model = nlohmann::json::parse(crescendo({"inspect", model_folder, "--json"}).out);
  EXPECT_EQ(model["vae"]["_class_name"], "AutoencoderTiny");
  EXPECT_EQ(model["vae"]["scaling_factor"], 0.8);
  EXPECT_FALSE(model.contains("problems"));

  write_vae_config(folder_ / "vae.toml", folder_ / "vae", workshop().shards);
  const Outcome refused =
      crescendo(with_overrides({"train-vae", (folder_ / "vae.toml").string()}, {path}));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(error_line(refused), fmt::format("vae.path: {}: train-vae trains an AutoencoderKL "
                                             "only; expected one, found AutoencoderTiny",
                                             tiny.string()));
}

TEST_F(WholeWayTest, Class) {
  ASSERT_NO_FATAL_FAILURE(train("class"));
  generate("name.png", {"--label", "cups", "-s", "5"});
  generate("number.png", {"--class", "1", "-s", "5"});
  generate("other.png", {"--label", "stars", "-s", "5"});
  EXPECT_EQ(picture_in(folder_ / "name.png").pixels, picture_in(folder_ / "number.png").pixels);
  EXPECT_NE(picture_in(folder_ / "name.png").pixels, picture_in(folder_ / "other.png").pixels);
  const auto files = generate("folder", {"--label", "0", "--label", "stars", "-b", "2"});
  EXPECT_EQ(files, (std::vector<fs::path>{
                       folder_ / "folder" / "00000.png", folder_ / "folder" / "00001.png",
                       folder_ / "folder" / "00002.png", folder_ / "folder" / "00003.png"}));
  for (const fs::path& file : files) expect_size(file, 16, 16);
}

TEST_F(WholeWayTest, Text) {
  ASSERT_NO_FATAL_FAILURE(train("text"));
  EXPECT_TRUE(fs::exists(run_ / "model/text_encoder/model.safetensors"));
  EXPECT_TRUE(fs::exists(run_ / "model/tokenizer/vocab.txt"));
  write_file_atomically(folder_ / "prompts.txt", "stars number 3\n\n  birds \ncups\n");
  const std::string prompts = (folder_ / "prompts.txt").string();
  EXPECT_EQ(generate("grid.png", {"--prompt-file", prompts, "--columns", "3"}).size(), 1U);
  expect_size(folder_ / "grid.png", 3 * 18 - 2, 16);
  EXPECT_EQ(generate("piped", {"--prompt-file", "-"}, prompts).size(), 3U);
  generate("alone.png", {"-p", "birds"});
  EXPECT_EQ(generate("both", {"-p", "cups", "-p", "birds", "-b", "2", "-n", "stars"}).size(), 4U);
  const std::string bytes = content_of(folder_ / "both" / "00003.png");
  EXPECT_NE(bytes.find("birds\nNegative prompt: stars\nSteps: 2, Sampler: DDIM, CFG scale: 7.5, "
                       "Seed: 1, Size: 16x16"),
            std::string::npos);
}

TEST_F(WholeWayTest, SamePictureWhateverStandsBesideIt) {
  ASSERT_NO_FATAL_FAILURE(train("text"));
  generate("alone.png", {"-p", "birds", "-s", "7"});
  generate("among", {"-p", "cups", "-p", "birds", "-p", "stars", "-s", "7", "--batch-size", "2"});
  const auto alone = picture_in(folder_ / "alone.png").pixels;
  const auto among = picture_in(folder_ / "among" / "00001.png").pixels;
  ASSERT_EQ(alone.size(), among.size());
  for (std::size_t i = 0; i < alone.size(); ++i) ASSERT_NEAR(alone[i], among[i], 1);
}

TEST(InspectTest, TellsWhatIsInShards) {
  const Outcome outcome = crescendo({"inspect", workshop().shards, "--decode", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["kind"], "shards");
  EXPECT_EQ(report["shards"], 3);
  EXPECT_EQ(report["samples"], kGroups * kPicturesPerGroup);
  EXPECT_EQ(report["classes"]["count"], kGroups);
  EXPECT_EQ(report["captions"]["count"], kGroups * kPicturesPerGroup);
  EXPECT_EQ(report["images"]["width"]["max"], 24);
  EXPECT_EQ(report["images"]["judged_by"], "decoding");
  EXPECT_FALSE(report.contains("problems"));
  const Outcome text = crescendo({"inspect", fs::path(workshop().shards).parent_path().string()});
  EXPECT_NE(text.out.find("kind: shards\nshards: 3\nsamples: 24\n"), std::string::npos) << text.out;
}

TEST_F(WholeWayTest, InspectTellsOfRunAndModel) {
  ASSERT_NO_FATAL_FAILURE(train("class"));
  const auto run = nlohmann::json::parse(crescendo({"inspect", run_.string(), "--json"}).out);
  EXPECT_EQ(run["kind"], "run");
  EXPECT_EQ(run["last_step"]["step"], 6);
  EXPECT_EQ(run["checkpoints"].size(), 2U);
  EXPECT_FALSE(run.contains("problems"));
  const std::string model_folder = (run_ / "model").string();
  const auto model = nlohmann::json::parse(crescendo({"inspect", model_folder, "--json"}).out);
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["class_names"], group_names());
  EXPECT_EQ(model["null_class"], kGroups);
  EXPECT_EQ(model["unet"]["num_class_embeds"], kGroups + 1);
  EXPECT_GT(model["unet"]["diffusion_pytorch_model.safetensors"]["parameters"], 1000);
  const Outcome text = crescendo({"inspect", model_folder});
  EXPECT_NE(text.out.find("  - cups\n"), std::string::npos) << text.out;

  fs::remove_all(run_ / "model" / "vae");
  const Outcome broken = crescendo({"inspect", model_folder});
  EXPECT_NE(broken.out.find("vae: the folder is missing"), std::string::npos) << broken.out;
}

}  // namespace
}  // namespace crescendo::e2e
