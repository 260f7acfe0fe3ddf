#include "core/weight_files.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

class WeightFilesTest : public testing::Test {
 protected:
  /// A file with one byte for each name.
  void write(const std::string& file, const std::vector<std::string>& names) {
    std::vector<SafetensorsItem> items;
    for (const std::string& name : names) {
      items.push_back({.name = name, .dtype = "U8", .shape = {1}, .bytes = {&byte_, 1}});
    }
    write_safetensors(folder_ / file, items);
  }

  std::filesystem::path write_index(const nlohmann::json& weight_map) {
    const std::filesystem::path file = folder_ / "model.safetensors.index.json";
    write_file_atomically(file, nlohmann::json{{"weight_map", weight_map}}.dump());
    return file;
  }

  std::string path(const std::string& file) const { return (folder_ / file).string(); }

  TemporaryFolder folder_;
  std::byte byte_{42};
};

TEST_F(WeightFilesTest, OneFile) {
  write("model.safetensors", {"a", "b"});
  const WeightFiles files(folder_ / "model.safetensors");
  EXPECT_EQ(files.tensors().size(), 2U);
  EXPECT_TRUE(files.contain("a"));
  EXPECT_EQ(files.tensors().at("b").bytes()[0], byte_);
  EXPECT_EQ(files.paths().size(), 1U);
}

TEST_F(WeightFilesTest, ReleasedBytesAreReadAgain) {
  std::vector<std::byte> bytes(100'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 251);
  write_safetensors(folder_ / "model.safetensors",
                    {{.name = "a", .dtype = "U8", .shape = {100'000}, .bytes = bytes}});
  const WeightFiles files(folder_ / "model.safetensors");
  const WeightFiles::Tensor& a = files.tensors().at("a");
  a.release();
  EXPECT_TRUE(std::ranges::equal(a.bytes(), bytes));
}

TEST_F(WeightFilesTest, ShardsOfAnIndex) {
  write("one.safetensors", {"a"});
  write("two.safetensors", {"b", "c"});
  const WeightFiles files(
      write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}, {"c", "two.safetensors"}}));
  EXPECT_EQ(files.tensors().size(), 3U);
  EXPECT_EQ(files.tensors().at("c").file->path(), folder_ / "two.safetensors");
  EXPECT_EQ(files.paths().size(), 3U);
}

TEST_F(WeightFilesTest, MissingShardIsNamed) {
  write("one.safetensors", {"a"});
  const auto index = write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}});
  EXPECT_EQ(error_text([&] { WeightFiles{index}; }),
            index.string() +
                ": names the file two.safetensors, which is missing; expected 2 files beside it");
}

TEST_F(WeightFilesTest, TensorThatIsNotInItsShard) {
  write("one.safetensors", {"a"});
  const auto index = write_index({{"a", "one.safetensors"}, {"b", "one.safetensors"}});
  EXPECT_EQ(
      data_error_text([&] { WeightFiles{index}; }),
      index.string() + ": 1 of the tensors that it names are not there:\n    b in one.safetensors");
}

TEST_F(WeightFilesTest, TensorInTwoShards) {
  write("one.safetensors", {"a"});
  write("two.safetensors", {"a", "b"});
  const auto index = write_index({{"a", "one.safetensors"}, {"b", "two.safetensors"}});
  EXPECT_EQ(
      data_error_text([&] { WeightFiles{index}; }),
      path("two.safetensors") + ": tensor 'a' is in one.safetensors as well; expected it once");
}

TEST_F(WeightFilesTest, MalformedIndexes) {
  const std::string expected =
      path("model.safetensors.index.json") +
      ": weight_map: expected an object of tensor names and the names of their files, found ";
  const std::vector<std::pair<nlohmann::json, std::string>> cases = {
      {nlohmann::json::array(), "array"},
      {{{"a", 1}}, "1"},
      {{{"a", "../x.safetensors"}}, "\"../x.safetensors\""},
      {{{"a", "/x.safetensors"}}, "\"/x.safetensors\""},
      {{{"a", "model.bin"}}, "\"model.bin\""},
      {{{"a", ".."}}, "\"..\""}};
  for (const auto& [weight_map, found] : cases) {
    const auto index = write_index(weight_map);
    EXPECT_EQ(data_error_text([&] { WeightFiles{index}; }), expected + found);
  }
}

TEST_F(WeightFilesTest, BoundsTheParametersOfAConfig) {
  write("model.safetensors", {"a", "b"});
  const WeightFiles files(folder_ / "model.safetensors");
  files.require_parameters(2, "config.json");
  EXPECT_EQ(data_error_text([&] { files.require_parameters(3, "config.json"); }),
            "config.json: the model has more parameters than the weights beside it; expected at "
            "most 2 (model.safetensors), found 3");
}

TEST_F(WeightFilesTest, FolderMayHoldEitherLayoutOrAVariant) {
  EXPECT_EQ(error_text([&] { weights_file_in(folder_.path()); }),
            folder_.path().string() +
                ": no weights; expected diffusion_pytorch_model.safetensors or model.safetensors");
  // Each is preferred to those before it.
  for (const char* name : {"model.fp16.safetensors", "model.safetensors.index.bf16.json",
                           "model.fp32.safetensors", "model.safetensors.index.json",
                           "model.safetensors", "diffusion_pytorch_model.safetensors"}) {
    write_file_atomically(folder_ / name, "");
    EXPECT_EQ(weights_file_in(folder_.path()), folder_ / name);
  }
}

TEST_F(WeightFilesTest, PickleIsRefused) {
  write_file_atomically(folder_ / "pytorch_model.bin", "");
  const std::string message = error_text([&] { weights_file_in(folder_.path()); });
  EXPECT_TRUE(message.starts_with(path("pytorch_model.bin") + ": refused: a pickle can run code"))
      << message;
}

}  // namespace

}  // namespace crescendo
