#include "dataloader/metadata.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::dataloader {

namespace {

using Rows = std::vector<std::string>;

/// "line file_name|caption|label|json" of each row; "-" for what is not there.
Rows describe(const std::vector<MetadataRow>& rows) {
  Rows texts;
  for (const MetadataRow& row : rows) {
    texts.push_back(std::to_string(row.line) + " " + row.file_name + "|" +
                    row.caption.value_or("-") + "|" + row.label.value_or("-") + "|" + row.json);
  }
  return texts;
}

Rows jsonl(std::string_view text, const std::string& column = "") {
  return describe(parse_metadata_jsonl(text, "m.jsonl", column));
}
Rows csv(std::string_view text, const std::string& column = "") {
  return describe(parse_metadata_csv(text, "m.csv", column));
}
std::string jsonl_error(std::string_view text, const std::string& column = "") {
  return data_error_text([&] { jsonl(text, column); });
}
std::string csv_error(std::string_view text, const std::string& column = "") {
  return data_error_text([&] { csv(text, column); });
}

TEST(MetadataTest, ReadsJsonLines) {
  EXPECT_EQ(jsonl("\xEF\xBB\xBF{\"file_name\": \"a.jpg\", \"text\": \"a\\ncat\"}\r\n\n"
                  "{\"label\": 3, \"file_name\": \"d/b.png\", \"z\": [1, {\"y\": null}]}"),
            (Rows{"1 a.jpg|a\ncat|-|", "3 d/b.png|-|3|{\"z\":[1,{\"y\":null}]}"}));
  EXPECT_EQ(jsonl("{\"file_name\":\"a.jpg\",\"text\":null,\"label\":\"cat\"}"),
            Rows{"1 a.jpg|-|cat|"});
  EXPECT_EQ(jsonl(""), Rows());
}

TEST(MetadataTest, ReadsCsv) {
  EXPECT_EQ(csv("\xEF\xBB\xBFlabel,file_name,caption,source\r\n"
                "cat,a.jpg,\"a \"\"big\"\"\r\ncat, red\",web\r\n"
                "dog,b.jpg,,\r\n"),
            (Rows{"2 a.jpg|a \"big\"\r\ncat, red|cat|{\"source\":\"web\"}",
                  "4 b.jpg||dog|{\"source\":\"\"}"}));
  EXPECT_EQ(csv(""), Rows());
}

TEST(MetadataTest, ChoosesTheColumnOfTheCaption) {
  const char* line = "{\"file_name\":\"a.jpg\",\"caption\":\"C\",\"text\":\"T\",\"prompt\":\"P\"}";
  EXPECT_EQ(jsonl(line), Rows{"1 a.jpg|T|-|{\"caption\":\"C\",\"prompt\":\"P\"}"});
  EXPECT_EQ(jsonl(line, "prompt"), Rows{"1 a.jpg|P|-|{\"caption\":\"C\",\"text\":\"T\"}"});
  EXPECT_EQ(csv("file_name,caption\na.jpg,C\n"), Rows{"2 a.jpg|C|-|"});
  EXPECT_EQ(jsonl_error(line, "prompts"),
            "m.jsonl: no column 'prompts'; expected it, found caption, file_name, prompt, text");
  EXPECT_EQ(csv_error("file_name,caption\na.jpg,C\n", "prompts"),
            "m.csv:1: no column 'prompts'; expected it, found file_name, caption");
}

TEST(MetadataTest, NamesTheLineOfWhatIsWrong) {
  EXPECT_EQ(jsonl_error("{\"file_name\":\"a.jpg\"}\n{\"file_name\":\"b.j"),
            "m.jsonl:2: not a JSON object; expected {\"file_name\": ..., \"text\": ...}");
  EXPECT_EQ(jsonl_error("[]"),
            "m.jsonl:1: not a JSON object; expected {\"file_name\": ..., \"text\": ...}");
  EXPECT_EQ(jsonl_error("{\"file\":\"a.jpg\",\"text\":\"x\"}"),
            "m.jsonl:1: no column 'file_name'; expected it, found file, text");
  EXPECT_EQ(jsonl_error("{\"file_name\":\"\"}"), "m.jsonl:1: the field 'file_name' is empty");
  EXPECT_EQ(jsonl_error("{\"file_name\":\"a.jpg\",\"text\":[\"x\"]}"),
            "m.jsonl:1: the field 'text' is no text; found array");
  EXPECT_EQ(jsonl_error("{\"file_name\":\"a.jpg\"}\n\n{\"file_name\":\"\xFF\"}"),
            "m.jsonl:3: not UTF-8");
  EXPECT_EQ(csv_error("name,text\na.jpg,x\n"),
            "m.csv:1: no column 'file_name'; expected it, found name, text");
  EXPECT_EQ(csv_error("file_name,text\na.jpg,x\nb.jpg\n"),
            "m.csv:3: expected 2 fields as in the first line, found 1");
  EXPECT_EQ(csv_error("file_name,text,text\n"),
            "m.csv:1: two columns of one name; found file_name, text, text");
  EXPECT_EQ(csv_error("file_name\n\xFF\n"), "m.csv:2: not UTF-8");
}

TEST(MetadataTest, BoundsTheDepthOfJson) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(jsonl_error("{\"file_name\":\"a.jpg\",\"x\":" + deep + "}"),
            "m.jsonl:1: nested deeper than 64");
}

}  // namespace

}  // namespace crescendo::dataloader
