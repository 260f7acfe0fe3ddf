#include "core/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

std::string length_bytes(std::uint64_t length) {
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes;
}

std::string file_of(const std::string& header, std::size_t data_bytes) {
  return length_bytes(header.size()) + header + std::string(data_bytes, '\x2A');
}

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors");
}

std::string error_of(const std::string& file) {
  return data_error_text([&] { parse(file); });
}

/// The error of a file with one entry `a`, given as JSON, and eight bytes of data.
std::string error_of_entry(const std::string& entry) {
  return error_of(file_of("{\"a\":" + entry + "}", 8));
}

constexpr const char* kGoodEntry = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

TEST(SafetensorsTest, ReadsEntriesInTheOrderOfTheirBytes) {
  const SafetensorsHeader header =
      parse(file_of(R"({"b":{"dtype":"F16","shape":[2,3],"data_offsets":[8,20]},)"
                    R"("__metadata__":{"format":"pt"},)"
                    R"("a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                    R"("empty":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]}})",
                    20));
  ASSERT_EQ(header.entries.size(), 3U);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_EQ(header.entries[0].dtype, "I64");
  EXPECT_TRUE(header.entries[0].shape.empty());
  EXPECT_EQ(header.entries[1].name, "empty");
  EXPECT_EQ(header.entries[1].shape, (std::vector<std::int64_t>{0, 7}));
  EXPECT_EQ(header.entries[2].name, "b");
  EXPECT_EQ(header.entries[2].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(header.entries[2].begin, 8U);
  EXPECT_EQ(header.entries[2].end, 20U);
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
}

TEST(SafetensorsTest, AcceptsWhatTheReferenceAccepts) {
  EXPECT_EQ(error_of(file_of("{}", 0)), "");
  EXPECT_EQ(error_of(file_of(" \n{} \t ", 0)), "");
  EXPECT_EQ(error_of(file_of(R"({"__metadata__":null})", 0)), "");
  EXPECT_EQ(error_of(file_of(std::string(R"({"":)") + kGoodEntry + "}", 8)), "");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":[{}]})"), "");
}

TEST(SafetensorsTest, RejectsAFileTooShortForALength) {
  EXPECT_EQ(error_of("1234567"),
            "m.safetensors: not a safetensors file: 7 bytes, expected at least 8");
}

TEST(SafetensorsTest, RejectsAHugeHeader) {
  EXPECT_EQ(error_of(length_bytes(100'000'001) + "{}"),
            "m.safetensors: not a safetensors file: header of 100000001 bytes, expected at most "
            "100000000");
  EXPECT_NE(error_of(length_bytes(~std::uint64_t{0}) + "{}"), "");
}

TEST(SafetensorsTest, RejectsAHeaderBeyondTheFile) {
  EXPECT_EQ(error_of(length_bytes(3) + "{}"),
            "m.safetensors: header of 3 bytes in a file of 10 (it was cut short)");
}

TEST(SafetensorsTest, RejectsWhatIsNotUtf8) {
  EXPECT_EQ(error_of(file_of("{\"\xFF\":1}", 0)), "m.safetensors: the header is not UTF-8");
}

TEST(SafetensorsTest, RejectsWhatIsNotJson) {
  const std::string expected = "m.safetensors: the header is not valid JSON";
  EXPECT_EQ(error_of(file_of("", 0)), expected);
  EXPECT_EQ(error_of(file_of("{", 0)), expected);
  EXPECT_EQ(error_of(file_of("{} x", 0)), expected);
  EXPECT_EQ(error_of(file_of("{}{}", 0)), expected);
  EXPECT_EQ(error_of(file_of("\xEF\xBB\xBF{}", 0)), expected) << "a byte order mark";
  EXPECT_EQ(error_of(file_of(std::string("{}\0", 3), 0)), expected) << "NUL as padding";
  EXPECT_EQ(error_of(file_of(std::string("{}\0{\"a\":1}", 10), 0)), expected) << "hidden by NUL";
  EXPECT_EQ(error_of(file_of("{/**/}", 0)), expected) << "a comment";
  EXPECT_EQ(error_of(file_of("{\"a\":NaN}", 0)), expected);
}

TEST(SafetensorsTest, RejectsATopLevelThatIsNoObject) {
  EXPECT_EQ(error_of(file_of("[]", 0)),
            "m.safetensors: the header is JSON of the wrong kind; expected an object, found array");
}

TEST(SafetensorsTest, RejectsAnUnknownDtype) {
  EXPECT_EQ(error_of_entry(R"({"dtype":"f32","shape":[2],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': dtype \"f32\" is unknown");
  EXPECT_EQ(error_of_entry(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': dtype 32 is unknown");
}

TEST(SafetensorsTest, RejectsAMissingField) {
  EXPECT_EQ(error_of_entry(R"({"shape":[2],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': no 'dtype'");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': no 'shape'");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[2]})"),
            "m.safetensors: tensor 'a': no 'data_offsets'");
  EXPECT_EQ(error_of_entry("7"), "m.safetensors: tensor 'a': expected an object");
}

TEST(SafetensorsTest, RejectsAKeyNamedTwice) {
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
            "m.safetensors: the header names 'dtype' twice in one object");
  EXPECT_EQ(error_of(file_of(R"({"__metadata__":{},"__metadata__":{}})", 0)),
            "m.safetensors: the header names '__metadata__' twice in one object");
  EXPECT_EQ(error_of(file_of(
                R"({"a":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8)),
            "m.safetensors: the header names 'a' twice in one object");
}

TEST(SafetensorsTest, RejectsNumbersThatAreNoSizes) {
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': shape: expected a list of non-negative integers, found "
            "[-2]");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': shape: expected a list of non-negative integers, found "
            "[2.0]");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': shape: expected a list of non-negative integers, found 2");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,-8]})"),
            "m.safetensors: tensor 'a': data_offsets: expected a list of non-negative integers, "
            "found [0,-8]");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4,8]})"),
            "m.safetensors: tensor 'a': data_offsets: expected 2 numbers, found 3");
}

TEST(SafetensorsTest, RejectsMetadataThatIsNotText) {
  EXPECT_EQ(error_of(file_of(R"({"__metadata__":{"step":7}})", 0)),
            "m.safetensors: __metadata__ 'step': expected a string, found number");
  EXPECT_EQ(error_of(file_of(R"({"__metadata__":[]})", 0)),
            "m.safetensors: __metadata__ is not an object");
}

TEST(SafetensorsTest, RejectsHolesOverlapsAndReversedOffsets) {
  const auto message = [](const std::string& range, const std::string& expected) {
    return "m.safetensors: tensor '" + range +
           ") leave a hole or overlap; expected them to begin at " + expected;
  };
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
            message("a': its bytes [4, 8", "0"));
  const auto two = [](const std::string& offsets) {
    return file_of(std::string("{\"a\":") + kGoodEntry +
                       R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}}",
                   20);
  };
  EXPECT_EQ(error_of(two("[12,20]")), message("b': its bytes [12, 20", "8"));
  EXPECT_EQ(error_of(two("[4,12]")), message("b': its bytes [4, 12", "8"));
  EXPECT_EQ(error_of(two("[0,8]")), message("b': its bytes [0, 8", "8"));
  EXPECT_EQ(error_of(two("[8,0]")), message("b': its bytes [8, 0", "8"));
}

TEST(SafetensorsTest, RejectsAShapeThatOverflows) {
  EXPECT_EQ(
      error_of_entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
      "m.safetensors: tensor 'a': its shape overflows 64 bits");
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': its shape overflows 64 bits");
}

TEST(SafetensorsTest, RejectsOffsetsThatDisagreeWithTheShape) {
  EXPECT_EQ(error_of_entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
            "m.safetensors: tensor 'a': its shape and dtype need 12 bytes, its offsets hold 8");
}

TEST(SafetensorsTest, RejectsBytesMissingOrLeftOver) {
  const std::string header = std::string("{\"a\":") + kGoodEntry + "}";
  EXPECT_EQ(error_of(file_of(header, 7)),
            "m.safetensors: the header describes 8 bytes of tensors, the file holds 7 (it was cut "
            "short)");
  EXPECT_EQ(error_of(file_of(header, 9)),
            "m.safetensors: the header describes 8 bytes of tensors, the file holds 9");
}

TEST(SafetensorsTest, RejectsEveryCutOfAGoodFile) {
  const std::string good = file_of(std::string("{\"a\":") + kGoodEntry + "}", 8);
  ASSERT_EQ(error_of(good), "");
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(error_of(good.substr(0, size)), "") << size << " bytes";
  }
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(SafetensorsTest, RoundTrips) {
  const TemporaryFolder folder;
  const std::string wide = "0123456789ABCDEF";
  const std::string narrow = "xyz";
  const std::string scalar = "12345678";
  write_safetensors(folder / "m.safetensors",
                    {{.name = "narrow", .dtype = "U8", .shape = {3}, .bytes = bytes_of(narrow)},
                     {.name = "scalar", .dtype = "F64", .shape = {}, .bytes = bytes_of(scalar)},
                     {.name = "wide", .dtype = "F64", .shape = {1, 2}, .bytes = bytes_of(wide)},
                     {.name = "none", .dtype = "F32", .shape = {4, 0}, .bytes = {}}},
                    {{"format", "pt"},
                     {"note",
                      "\"quoted\" pi\xC3\xB1"
                      "ata"}});
  const SafetensorsFile file(folder / "m.safetensors");
  EXPECT_EQ(file.header().data_offset % 8, 0U);
  EXPECT_EQ(file.header().metadata.at("note"),
            "\"quoted\" pi\xC3\xB1"
            "ata");
  std::map<std::string, std::string> content;
  std::vector<std::string> order;
  for (const SafetensorsEntry& entry : file.header().entries) {
    const auto bytes = file.bytes(entry);
    order.push_back(entry.name);
    content[entry.name] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  EXPECT_EQ(order, (std::vector<std::string>{"scalar", "wide", "none", "narrow"}));
  EXPECT_EQ(content["wide"], wide);
  EXPECT_EQ(content["narrow"], narrow);
  EXPECT_EQ(content["none"], "");
}

TEST(SafetensorsTest, RefusesToWriteBytesThatDisagreeWithTheShape) {
  const TemporaryFolder folder;
  const std::string bytes = "1234";
  EXPECT_THROW(
      write_safetensors(folder / "m.safetensors",
                        {{.name = "a", .dtype = "F32", .shape = {2}, .bytes = bytes_of(bytes)}}),
      Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "m.safetensors"));
}

TEST(SafetensorsTest, NamesTheFileThatCannotBeOpened) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_text([&] { const SafetensorsFile file(folder / "m.safetensors"); }),
            (folder / "m.safetensors").string() + ": cannot open: No such file or directory");
  EXPECT_EQ(error_text([&] { const SafetensorsFile file(folder.path()); }),
            folder.path().string() + ": cannot open: not a regular file");
  write_file_atomically(folder / "empty.safetensors", "");
  EXPECT_EQ(error_text([&] { const SafetensorsFile file(folder / "empty.safetensors"); }),
            (folder / "empty.safetensors").string() +
                ": not a safetensors file: 0 bytes, expected at least 8");
}

TEST(SafetensorsTest, KnowsElementSizes) {
  EXPECT_EQ(safetensors_element_size("F64"), 8U);
  EXPECT_EQ(safetensors_element_size("BF16"), 2U);
  EXPECT_EQ(safetensors_element_size("BOOL"), 1U);
  EXPECT_EQ(safetensors_element_size("F12"), 0U);
}

TEST(SafetensorsTest, StreamsAreWrittenAsItemsAre) {
  const TemporaryFolder folder;
  const std::string bytes = "abcdefgh";
  const std::span<const std::byte> span = std::as_bytes(std::span(bytes));
  write_safetensors(folder / "items",
                    {{"x", "F16", {2, 2}, span}, {"y", "F32", {1}, span.first(4)}});
  std::vector<SafetensorsStream> streams;
  streams.push_back({"x", "F16", {2, 2}, [&](const ByteSink& sink) {
                       sink(span.first(3));
                       sink(span.subspan(3));
                     }});
  streams.push_back({"y", "F32", {1}, [&](const ByteSink& sink) { sink(span.first(4)); }});
  write_safetensors_streams(folder / "streams", streams);
  EXPECT_EQ(read_file(folder / "streams"), read_file(folder / "items"));

  streams.back().shape = {2};
  EXPECT_THROW(write_safetensors_streams(folder / "short", streams), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "short"));
}

}  // namespace

}  // namespace crescendo
