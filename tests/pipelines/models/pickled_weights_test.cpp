#include "pipelines/models/pickled_weights.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "pipelines/models/zip_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

using namespace std::string_literals;

std::string text(const std::string& value) {
  return std::string{'U', static_cast<char>(value.size())} + value;
}
std::string number(int value) { return {'K', static_cast<char>(value)}; }

/// A tensor of `storage`, as torch.save pickles it.
std::string tensor(const std::string& storage, int offset, const std::string& shape,
                   const std::string& strides, const std::string& type = "FloatStorage") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + type + "\n" +
         text(storage) + text("cpu") + number(4) + "tQ" + number(offset) + shape + strides +
         "\x89}tR";
}

class PickledWeightsTest : public testing::Test {
 protected:
  /// A file of {"w": `value`} whose storage "0" holds 0, 1, 2, 3.
  void write(const std::string& value) {
    const std::vector<float> elements{0, 1, 2, 3};
    write_zip(file_, {{"a/data.pkl", "\x80\x02}" + text("w") + value + "s."},
                      {"a/data/0", {reinterpret_cast<const char*>(elements.data()), 16}}});
  }
  std::string error_of(const std::string& value) {
    write(value);
    const std::string found = data_error_text([&] { load_pickled_weights(file_); });
    return found.substr(std::min(found.size(), file_.string().size()));
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "w.pth";
};

TEST_F(PickledWeightsTest, ViewsOfAStorage) {
  write(tensor("0", 1, number(3) + "\x85", number(1) + "\x85"));
  EXPECT_TRUE(at::equal(load_pickled_weights(file_).at("w"), at::arange(1, 4).to(at::kFloat)));
  write(tensor("0", 0, number(2) + number(2) + "\x86", number(1) + number(2) + "\x86"));
  EXPECT_TRUE(at::equal(load_pickled_weights(file_).at("w"),
                        at::arange(4).to(at::kFloat).view({2, 2}).t()));
}

TEST_F(PickledWeightsTest, ShapesThatDoNotFitTheirStorageAreRefused) {
  const std::string expected = ": w: its shape does not fit into its storage";
  EXPECT_EQ(error_of(tensor("0", 2, number(3) + "\x85", number(1) + "\x85")), expected);
  EXPECT_EQ(error_of(tensor("0", 0, number(3) + "\x85", number(2) + "\x85")), expected);
  EXPECT_EQ(error_of(tensor("0", 0, number(9) + "\x85", number(0) + "\x85")), expected);
  EXPECT_EQ(error_of(tensor("0", 0, number(2) + "\x85", ")")), expected);
  EXPECT_EQ(error_of(tensor("0", 0, "J\xFF\xFF\xFF\xFF\x85", number(1) + "\x85")),
            ": w: a negative shape or stride");
  EXPECT_EQ(error_of(tensor("1", 0, number(3) + "\x85", number(1) + "\x85")),
            ": w: its storage is not in the file");
}

TEST_F(PickledWeightsTest, WhatIsNoTensorIsRefused) {
  EXPECT_EQ(error_of("cos\nsystem\n" + text("touch here") + "\x85R"),
            ": w: asks for os system to be run, which is refused; expected a tensor");
  EXPECT_EQ(error_of(number(1)), ": expected a dict of tensors by name, found none");
  EXPECT_NE(error_of(tensor("0", 0, number(3) + "\x85", number(1) + "\x85", "OddStorage"))
                .find("a kind of storage that is not known: torch OddStorage"),
            std::string::npos);
  write_zip(file_, {{"a/data.pkl", "cmodels\nNet\n)R."}});
  EXPECT_NE(data_error_text([&] {
              load_pickled_weights(file_);
            }).find("found a pickled object (models Net), which cannot be read without running"),
            std::string::npos);
}

TEST_F(PickledWeightsTest, OtherFilesAreNamed) {
  write_file_atomically(file_, "text");
  EXPECT_NE(data_error_text([&] {
              load_pickled_weights(file_);
            }).find("expected what torch.save writes, found other bytes"),
            std::string::npos);
  write_zip(file_, {{"a", "b"}});
  EXPECT_NE(data_error_text([&] { load_pickled_weights(file_); }).find("without data.pkl"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
