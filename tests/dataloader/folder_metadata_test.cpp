#include <gtest/gtest.h>

#include "dataloader/folder.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

using Names = std::vector<std::string>;

class FolderMetadataTest : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text = "content") {
    write_bytes(folder_ / name, bytes_of(text));
  }
  FolderListing list(const std::string& column = "") const {
    return list_folder(folder_.path(), {.caption_column = column});
  }

  /// "key label caption json" of each item; "-" for no caption.
  Names describe() const {
    Names items;
    for (const FolderItem& item : list().items) {
      items.push_back(item.key + " " + std::to_string(item.label) + " " +
                      (item.has_caption ? item.caption : "-") + " " + item.json);
    }
    return items;
  }

  TemporaryFolder folder_;
};

TEST_F(FolderMetadataTest, TakesCaptionsAndColumnsOfItsRows) {
  put("a.jpg");
  put("v1.0 b.PNG");
  put("c.jpg");
  put("a.txt", "not asked for");
  put("metadata.jsonl",
      "{\"file_name\": \"v1.0 b.PNG\", \"text\": \" two\\nlines \", \"score\": 0.5}\n"
      "{\"file_name\": \"./a.jpg\"}\n");
  EXPECT_EQ(describe(), (Names{"a -1 - ", "v1_0 b -1 two\nlines {\"score\":0.5}"}));
  const FolderListing listing = list();
  EXPECT_EQ(listing.metadata_files, Names{"metadata.jsonl"});
  EXPECT_EQ(listing.images_without_row, Names{"c.jpg"});
  EXPECT_EQ(listing.images_without_caption, Names{"a.jpg"});
  EXPECT_EQ(listing.others, (std::map<std::string, std::size_t>{{".txt", 1}}));
}

TEST_F(FolderMetadataTest, ReadsThoseOfSubfolders) {
  put("train/a.jpg");
  put("train/metadata.csv", "file_name,text\na.jpg,A\n");
  put("test/a.jpg");
  put("test/metadata.jsonl", "{\"file_name\":\"a.jpg\",\"text\":\"B\"}");
  EXPECT_EQ(describe(), (Names{"test/a -1 B ", "train/a -1 A "}));
  EXPECT_TRUE(list().class_names.empty());
}

TEST_F(FolderMetadataTest, KeepsLabelsThatAreNumbersAndNumbersNames) {
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) put(name);
  put("metadata.csv", "file_name,label\na.jpg,7\nb.jpg,0\nc.jpg,\n");
  EXPECT_EQ(describe(), (Names{"a 7 - ", "b 0 - ", "c -1 - "}));
  EXPECT_TRUE(list().class_names.empty());
  put("metadata.csv", "file_name,label\na.jpg,zebra\nb.jpg,ant\nc.jpg,7\n");
  EXPECT_EQ(describe(), (Names{"a 2 - ", "b 1 - ", "c 0 - "}));
  EXPECT_EQ(list().class_names, (Names{"7", "ant", "zebra"}));
}

TEST_F(FolderMetadataTest, SkipsRowsWithoutAUsableImage) {
  put("sub/a.jpg");
  put("sub/empty.jpg", "");
  put("sub/b.gif");
  put("sub/metadata.csv",
      "file_name\na.jpg\nnone.jpg\na.jpg\nempty.jpg\nb.gif\n../../x.jpg\n/etc/x.jpg\n");
  EXPECT_EQ(describe(), Names{"sub/a -1 - "});
  EXPECT_EQ(list().skipped, (Names{"sub/metadata.csv:3: none.jpg: no such file",
                                   "sub/metadata.csv:4: a.jpg: a second row of this image",
                                   "sub/metadata.csv:5: empty.jpg: empty",
                                   "sub/metadata.csv:6: b.gif: not a jpg, png or webp file",
                                   "sub/metadata.csv:7: ../../x.jpg: outside the folder",
                                   "sub/metadata.csv:8: /etc/x.jpg: outside the folder"}));
}

TEST_F(FolderMetadataTest, RefusesWhatCannotBeMeant) {
  const std::string path = folder_.path().string();
  put("a.jpg");
  EXPECT_EQ(error_text([&] { list("prompt"); }),
            path +
                ": --caption-column is of a metadata.jsonl or metadata.csv; found neither in "
                "the folder");
  put("metadata.csv", "file_name\nb.jpg\n");
  EXPECT_EQ(error_text([&] { list(); }),
            path +
                ": no image in this folder; expected jpg, png or webp files; skipped: "
                "metadata.csv:2: b.jpg: no such file");
  put("metadata.jsonl", "");
  EXPECT_EQ(error_text([&] { list(); }),
            path + "/: both metadata.csv and metadata.jsonl; expected one of them");
  put("sub/metadata.parquet");
  EXPECT_NE(error_text([&] { list(); }), "");
  std::filesystem::remove(folder_ / "metadata.csv");
  EXPECT_EQ(error_text([&] { list(); }),
            path +
                "/sub/metadata.parquet: Parquet is not supported; expected metadata.jsonl or "
                "metadata.csv");
}

}  // namespace

}  // namespace crescendo::dataloader
