#include "dataloader/csv.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::dataloader {

namespace {

using Fields = std::vector<std::string>;

std::vector<Fields> fields_of(std::string_view text) {
  std::vector<Fields> all;
  for (const CsvRow& row : parse_csv(text, "x.csv")) all.push_back(row.fields);
  return all;
}

std::vector<std::size_t> lines_of(std::string_view text) {
  std::vector<std::size_t> all;
  for (const CsvRow& row : parse_csv(text, "x.csv")) all.push_back(row.line);
  return all;
}

TEST(CsvTest, SplitsFieldsAndLines) {
  EXPECT_EQ(fields_of("a,b\nc,d\n"), (std::vector<Fields>{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(fields_of("a,b\r\nc,d"), (std::vector<Fields>{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(fields_of(",\n"), (std::vector<Fields>{{"", ""}}));
  EXPECT_EQ(fields_of("a,"), (std::vector<Fields>{{"a", ""}}));
  EXPECT_EQ(fields_of(" a , b "), (std::vector<Fields>{{" a ", " b "}}));
  EXPECT_EQ(fields_of("a\rb"), (std::vector<Fields>{{"a\rb"}}));
}

TEST(CsvTest, ReadsQuotedFields) {
  EXPECT_EQ(fields_of("\"a,b\",\"say \"\"hi\"\"\"\n"),
            (std::vector<Fields>{{"a,b", "say \"hi\""}}));
  EXPECT_EQ(fields_of("\"two\r\nlines\",\"\"\r\nc,d"),
            (std::vector<Fields>{{"two\r\nlines", ""}, {"c", "d"}}));
  EXPECT_EQ(fields_of("5\" tape,b"), (std::vector<Fields>{{"5\" tape", "b"}}));
}

TEST(CsvTest, PassesOverAByteOrderMarkAndEmptyLines) {
  EXPECT_EQ(fields_of("\xEF\xBB\xBF\"a\"\n\n\r\nb\n\n"), (std::vector<Fields>{{"a"}, {"b"}}));
  EXPECT_EQ(fields_of(""), std::vector<Fields>());
}

TEST(CsvTest, CountsLinesInsideQuotes) {
  EXPECT_EQ(lines_of("a\n\"b\nb\nb\"\n\nc"), (std::vector<std::size_t>{1, 2, 6}));
}

TEST(CsvTest, RefusesBrokenQuotes) {
  EXPECT_EQ(data_error_text([] { parse_csv("a\n\"b\nc,d", "x.csv"); }),
            "x.csv:2: a quote that is never closed");
  EXPECT_EQ(data_error_text([] { parse_csv("\"a\"b\n", "x.csv"); }),
            "x.csv:1: text after a closing quote; expected a comma or the line's end");
}

}  // namespace

}  // namespace crescendo::dataloader
