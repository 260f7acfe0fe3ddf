#include "tests/e2e/workshop.h"

#include <array>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/atomic_file.h"
#include "pipelines/generation/picture.h"
#include "tests/e2e/program.h"

namespace crescendo::e2e {

namespace fs = std::filesystem;

namespace {

void must_work(const std::vector<std::string>& arguments) {
  const Outcome outcome = crescendo(arguments);
  if (outcome.exit_code != 0) throw std::runtime_error(outcome.err);
}

std::string blocks(const std::string& conditioning) {
  if (conditioning == "text") {
    return "down_block_types = [\"CrossAttnDownBlock2D\", \"DownBlock2D\"]\n"
           "up_block_types = [\"UpBlock2D\", \"CrossAttnUpBlock2D\"]\n"
           "cross_attention_dim = 16\n";
  }
  return "down_block_types = [\"AttnDownBlock2D\", \"DownBlock2D\"]\n"
         "up_block_types = [\"UpBlock2D\", \"AttnUpBlock2D\"]\n"
         "mid_block_type = \"UNetMidBlock2D\"\n";
}

}  // namespace

const std::vector<std::string>& group_names() {
  static const std::vector<std::string> names{"birds", "cups", "stars"};
  return names;
}

void make_picture(const fs::path& file, int number, std::int64_t width, std::int64_t height) {
  dataloader::Image picture{width, height, {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const bool inside = (x / 4 + y / 4 + number) % 3 == 0;
      for (const std::int64_t value : {x * 10, y * 12, std::int64_t{inside ? 230 : 9 * number}}) {
        picture.pixels.push_back(static_cast<std::uint8_t>(value));
      }
    }
  }
  pipelines::write_png(file, picture);
}

void make_pictures(const fs::path& folder) {
  int number = 0;
  for (const std::string& group : group_names()) {
    for (int i = 0; i < kPicturesPerGroup; ++i, ++number) {
      const fs::path stem = folder / group / fmt::format("{:02}", i);
      make_picture(stem.string() + ".png", number);
      write_file_atomically(stem.string() + ".txt", fmt::format("{} number {}\n", group, i));
    }
  }
}

std::string pack_mixed_shapes(const fs::path& folder) {
  const std::string shards = (folder / "shards" / "*.tar").string();
  if (fs::exists(folder / "shards")) return shards;
  constexpr std::array<std::pair<std::int64_t, std::int64_t>, 5> kShapes{
      {{24, 20}, {20, 24}, {16, 16}, {40, 10}, {12, 30}}};
  for (int number = 0; number < 33; ++number) {
    const std::string& group = group_names()[static_cast<std::size_t>(number % 3)];
    const auto [width, height] = kShapes[static_cast<std::size_t>(number * number % 5)];
    const fs::path stem = folder / "pictures" / group / fmt::format("{:02}", number);
    make_picture(stem.string() + ".png", number, width, height);
    write_file_atomically(stem.string() + ".txt", fmt::format("{} number {}\n", group, number));
  }
  must_work({"pack", (folder / "pictures").string(), "--out", (folder / "shards").string(),
             "--max-samples", "13"});
  return shards;
}

std::vector<std::string> bucketed(const std::string& shards) {
  return {"data.shards=[\"" + shards + "\"]", "data.enable_bucket=true",
          "data.bucket_reso_steps=4"};
}

Workshop::Workshop() : shards((folder / "shards" / "*.tar").string()), vae(folder / "vae") {
  make_pictures(folder / "pictures");
  must_work({"pack", (folder / "pictures").string(), "--out", (folder / "shards").string(),
             "--max-samples", "9"});
  write_vae_config(folder / "vae.toml", vae, shards);
  must_work({"train-vae", (folder / "vae.toml").string()});
}

const Workshop& workshop() {
  static const Workshop made;
  return made;
}

fs::path text_encoder_folder() {
  return fs::path(CRESCENDO_SOURCE_DIR) / "tests/parity/fixtures/text_encoder/bert_uncased";
}

void write_vae_config(const fs::path& file, const fs::path& run, const std::string& shards) {
  write_file_atomically(file, fmt::format(R"([run]
output_dir = "{}"
device = "cpu"
[data]
shards = ["{}"]
resolution = 16
[vae]
block_out_channels = [8, 16]
down_block_types = ["DownEncoderBlock2D", "DownEncoderBlock2D"]
up_block_types = ["UpDecoderBlock2D", "UpDecoderBlock2D"]
norm_num_groups = 4
mid_block_add_attention = false
[train]
train_batch_size = 4
max_train_steps = 3
learning_rate = 1e-3
)",
                                          run.string(), shards));
}

void write_train_config(const fs::path& file, const fs::path& run,
                        const std::string& conditioning) {
  std::string text =
      fmt::format(R"([run]
output_dir = "{}"
device = "cpu"
[data]
shards = ["{}"]
resolution = 16
[vae]
path = "{}"
[unet]
block_out_channels = [8, 16]
layers_per_block = 1
attention_head_dim = 2
norm_num_groups = 4
{}[curriculum]
clusters = 4
[curriculum.pacing]
patience = 3
[train]
conditioning = "{}"
train_batch_size = 4
max_train_steps = 6
learning_rate = 1e-3
[checkpoint]
every = 3
[sample]
every = 3
steps = 2
)",
                  run.string(), workshop().shards, (workshop().vae / "model").string(),
                  blocks(conditioning), conditioning);
  if (conditioning == "class") {
    text += "labels = [\"cups\", \"2\"]\n";
    const std::string line =
        fmt::format("class_names = [\"{}\"]\n", fmt::join(group_names(), "\", \""));
    text.insert(text.find("resolution"), line);
  }
  if (conditioning == "text") {
    text += "prompts = [\"cups number 1\", \"stars\"]\n";
    text += fmt::format("[text_encoder]\npath = \"{}\"\nmax_length = 12\n",
                        text_encoder_folder().string());
  }
  write_file_atomically(file, text);
}

std::vector<std::string> with_overrides(std::vector<std::string> arguments,
                                        const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    arguments.emplace_back("--set");
    arguments.push_back(text);
  }
  return arguments;
}

}  // namespace crescendo::e2e
