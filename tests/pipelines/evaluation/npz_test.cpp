#include "pipelines/evaluation/npz.h"

#include <array>

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/tensor_io.h"
#include "pipelines/models/zip_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

constexpr std::array<std::string_view, 2> kNames{"mu", "sigma"};

/// A .npy of version 1.0.
std::string npy(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         data;
}

TEST(NpzTest, ArraysComeBackAsTheyWere) {
  const TemporaryFolder folder;
  const at::Tensor mu = random_normal({7}, 1, Purpose::kNoise, 0).to(at::kDouble);
  const at::Tensor sigma = random_normal({7, 7}, 2, Purpose::kNoise, 0);
  write_npz(folder / "a.npz", {{"mu", mu}, {"sigma", sigma.t()}, {"other", at::arange(3)}});
  const Arrays found = read_npz(folder / "a.npz", kNames);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(at::equal(found.at("mu"), mu));
  EXPECT_TRUE(at::equal(found.at("sigma"), sigma.t()));
  EXPECT_EQ(found.at("sigma").scalar_type(), at::kFloat);
}

TEST(NpzTest, TheSameArraysMakeTheSameBytes) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"}) write_npz(folder / name, {{"mu", at::ones({3})}});
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
}

TEST(NpzTest, FortranOrderIsTransposed) {
  const std::string header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
  const at::Tensor found = parse_npy(npy(header, {0, 1, 2, 3, 4, 5}), "x");
  EXPECT_TRUE(at::equal(found, at::arange(6).to(at::kByte).view({3, 2}).t()));
}

TEST(NpzTest, ScalarsAndEmptyArrays) {
  EXPECT_EQ(
      parse_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", "\x05"), "x").dim(),
      0);
  EXPECT_EQ(
      parse_npy(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4)}", ""), "x").size(1),
      4);
}

TEST(NpzTest, MalformedArraysAreNamed) {
  const auto text = [](const std::string& descr, const std::string& shape,
                       const std::string& data) {
    return data_error_text([&] {
      parse_npy(
          npy("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }", data),
          "f.npz: mu");
    });
  };
  EXPECT_EQ(text("'|u1'", "(2,)", "ab"), "");
  EXPECT_EQ(text("'|u1'", "(3,)", "ab"), "f.npz: mu: expected 3 bytes of elements, found 2");
  EXPECT_EQ(text("'<f4'", "(2,)", "abcd"), "f.npz: mu: expected 8 bytes of elements, found 4");
  EXPECT_EQ(text("'|u1'", "(-1,)", "ab"),
            "f.npz: mu: expected a shape like (2048, 2048), found (-1,)");
  EXPECT_NE(text("'|O'", "(2,)", "ab").find("expected elements of type <f8, "), std::string::npos);
  for (const char* shape : {"(4611686018427387904, 4)", "(0, 4611686018427387904, 4)"}) {
    EXPECT_NE(text("'|u1'", shape, "ab").find("expected no more elements than the file has bytes"),
              std::string::npos);
  }
  EXPECT_EQ(data_error_text([] { parse_npy("\x93NUMPY", "f"); }),
            "f: expected a NumPy array (.npy), found other bytes");
  EXPECT_EQ(data_error_text([] { parse_npy(npy("{}", "").substr(0, 11), "f"); }),
            "f: expected a NumPy array (.npy), found other bytes");
}

TEST(NpzTest, WhatIsNoZipIsNamed) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.npz";
  write_file_atomically(file, "no zip at all");
  EXPECT_NE(
      data_error_text([&] { read_npz(file, kNames); }).find(file + ": expected a zip archive"),
      std::string::npos);
  EXPECT_NE(error_text([&] { read_npz(folder / "b.npz", kNames); }).find("is no file"),
            std::string::npos);
}

TEST(NpzTest, EveryDamageIsFound) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.npz";
  write_npz(file, {{"mu", at::arange(64)}});
  const std::string whole = read_file(file);
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    write_file_atomically(file, whole.substr(0, at));
    EXPECT_NE(data_error_text([&] { read_npz(file, kNames); }), "") << "cut at " << at;
  }
  std::string flipped = whole;
  flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 1);  // of the elements
  write_file_atomically(file, flipped);
  EXPECT_NE(data_error_text([&] { read_npz(file, kNames); }), "");
}

}  // namespace
}  // namespace crescendo::pipelines
