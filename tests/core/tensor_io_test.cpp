#include "core/tensor_io.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

TEST(TensorIoTest, RoundTripsEveryDtype) {
  const TemporaryFolder folder;
  TensorMap tensors;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kLong, at::kInt,
                           at::kShort, at::kChar, at::kByte, at::kBool}) {
    tensors.emplace(c10::toString(dtype), at::arange(6).reshape({2, 3}).to(dtype));
  }
  tensors.emplace("scalar", at::full({}, 0.5));
  tensors.emplace("empty", at::zeros({3, 0}));
  save_tensors(folder / "t.safetensors", tensors);
  const TensorMap read = load_tensors(folder / "t.safetensors");
  ASSERT_EQ(read.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    ASSERT_TRUE(read.contains(name));
    EXPECT_EQ(read.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(read.at(name), tensor)) << name;
  }
}

TEST(TensorIoTest, WritesViewsInTheirOwnOrder) {
  const TemporaryFolder folder;
  const at::Tensor base = at::arange(12).reshape({3, 4}).to(at::kFloat);
  save_tensors(folder / "t.safetensors",
               {{"transposed", base.t()}, {"slice", base.slice(1, 1, 3)}});
  const TensorMap read = load_tensors(folder / "t.safetensors");
  EXPECT_TRUE(at::equal(read.at("transposed"), base.t()));
  EXPECT_TRUE(at::equal(read.at("slice"), base.slice(1, 1, 3)));
}

TEST(TensorIoTest, RefusesADtypeItCannotHold) {
  const TemporaryFolder folder;
  const std::string header = R"({"a":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[0,1]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  write_file_atomically(folder / "t.safetensors", file + header + "x");
  EXPECT_EQ(data_error_text([&] { load_tensors(folder / "t.safetensors"); }),
            (folder / "t.safetensors").string() + ": tensor 'a': dtype F8_E8M0 is not supported");
}

TEST(RandomNormalTest, IsTheStream) {
  const at::Tensor noise = random_normal({2, 3}, 5, Purpose::kNoise, 7);
  std::vector<float> expected(6);
  RandomStream(5, Purpose::kNoise, 7).fill_normal(expected);
  EXPECT_EQ(noise.sizes(), (at::IntArrayRef{2, 3}));
  EXPECT_TRUE(at::equal(noise.flatten(), at::tensor(expected)));
}

}  // namespace

}  // namespace crescendo
