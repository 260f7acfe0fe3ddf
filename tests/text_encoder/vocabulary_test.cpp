#include "text_encoder/vocabulary.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

class VocabularyFileTest : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& content) const {
    write_file_atomically(folder_ / "v.json", content);
    return folder_ / "v.json";
  }

  std::string error_of(const std::string& content) const {
    const std::filesystem::path file = write(content);
    const std::string text = error_text([&] { read_vocabulary_file(file); });
    return text.substr(text.find("v.json"));
  }

  TemporaryFolder folder_;
};

TEST_F(VocabularyFileTest, IsReadAsItsJsonIs) {
  const char* content = R"({"a": 0, "b</w>": 2, "": 1, "\u00e9\"": 3, "a": 4})";
  EXPECT_EQ(read_vocabulary_file(write(content)),
            read_vocabulary(nlohmann::json::parse(content), "v.json"));
  EXPECT_EQ(read_vocabulary_file(write("{}")).size(), 0U);
}

TEST_F(VocabularyFileTest, MalformedOnesAreNamed) {
  EXPECT_EQ(error_of(R"({"a": -1})"),
            "v.json: id of 'a': expected an integer from 0 to 2147483647, found -1");
  EXPECT_EQ(error_of(R"({"a": "x"})"),
            "v.json: id of 'a': expected an integer from 0 to 2147483647, found \"x\"");
  EXPECT_NE(error_of(R"({"a": {"b": 1}})").find("v.json: id of 'a': expected an integer"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"a": [1]})").find("v.json: id of 'a': expected an integer"),
            std::string::npos);
  EXPECT_EQ(error_of("[1, 2]"),
            "v.json: expected a JSON object of tokens and their ids, found array");
  EXPECT_EQ(error_of(R"({"a": 1)"), "v.json: not valid JSON at byte 8");
}

TEST_F(VocabularyFileTest, IsTakenFromItsPlaceAlone) {
  const std::filesystem::path file =
      write(R"({"vocab": {"a": 1}, "model": {"vocab": {"b": 2, "c": 3}, "type": "BPE", "merges":
            [{"d": 4}]}, "x": {"vocab": {"e": 5}}})");
  Vocabulary vocabulary;
  const nlohmann::json rest = read_json_around_vocabulary(file, {"model", "vocab"}, vocabulary);
  EXPECT_EQ(vocabulary, (Vocabulary{{"b", 2}, {"c", 3}}));
  EXPECT_EQ(rest, nlohmann::json::parse(
                      R"({"vocab": {"a": 1}, "model": {"vocab": {}, "type": "BPE", "merges":
                      [{"d": 4}]}, "x": {"vocab": {"e": 5}}})"));
}

TEST_F(VocabularyFileTest, AListStaysWhereItIs) {
  const char* content = R"({"model": {"vocab": [["a", -1.5], "b", 3]}})";
  Vocabulary vocabulary;
  EXPECT_EQ(read_json_around_vocabulary(write(content), {"model", "vocab"}, vocabulary),
            nlohmann::json::parse(content));
  EXPECT_TRUE(vocabulary.empty());
}

}  // namespace
}  // namespace crescendo::text_encoder
