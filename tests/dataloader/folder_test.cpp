#include "dataloader/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

using Names = std::vector<std::string>;

class FolderTest : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text = "content") {
    write_bytes(folder_ / name, bytes_of(text));
  }
  FolderListing list() const { return list_folder(folder_.path()); }

  /// "key label caption" of each item; "-" for no caption.
  Names describe() const {
    Names items;
    for (const FolderItem& item : list().items) {
      items.push_back(item.key + " " + std::to_string(item.label) + " " +
                      (item.has_caption ? item.caption : "-"));
    }
    return items;
  }

  TemporaryFolder folder_;
};

TEST_F(FolderTest, PairsImagesWithCaptions) {
  put("b.jpg");
  put("b.txt", " a cat\r\n");
  put("a.PNG");
  put("a.txt", "");
  put("c.webp");
  put("d.jpeg");
  put("notes.md");
  EXPECT_EQ(describe(), (Names{"a -1 ", "b -1 a cat", "c -1 -", "d -1 -"}));
  const FolderListing listing = list();
  EXPECT_EQ(listing.items[1].image, folder_ / "b.jpg");
  EXPECT_EQ(listing.images_without_caption, (Names{"c.webp", "d.jpeg"}));
  EXPECT_TRUE(listing.captions_without_image.empty());
  EXPECT_TRUE(listing.skipped.empty());
  EXPECT_TRUE(listing.class_names.empty());
}

TEST_F(FolderTest, NumbersTheTopSubfoldersThatHoldImages) {
  put("zebra/2.jpg");
  put("ant/deep/1.jpg");
  put("empty/readme.txt");
  put("0.jpg");
  EXPECT_EQ(describe(), (Names{"0 -1 -", "ant/deep/1 0 -", "zebra/2 1 -"}));
  EXPECT_EQ(list().class_names, (Names{"ant", "zebra"}));
  EXPECT_EQ(list().captions_without_image, Names{"empty/readme.txt"});
}

TEST_F(FolderTest, MakesDotsOfANameUnderscores) {
  put("v1.0/a.b.jpg");
  put("v1.0/a.b.txt", "caption");
  EXPECT_EQ(describe(), Names{"v1.0/a_b 0 caption"});
}

TEST_F(FolderTest, SkipsASecondImageOfOneKey) {
  put("a.jpg");
  put("a.png");
  put("b.c.jpg");
  put("b_c.jpg");
  EXPECT_EQ(describe(), (Names{"a -1 -", "b_c -1 -"}));
  EXPECT_EQ(list().skipped, (Names{"a.png: has the same key 'a' as a.jpg",
                                   "b_c.jpg: has the same key 'b_c' as b.c.jpg"}));
}

TEST_F(FolderTest, SkipsWhatCannotBeAnImage) {
  put("a.jpg");
  put("empty.jpg", "");
  std::filesystem::create_symlink("nowhere", folder_ / "broken.jpg");
  ASSERT_EQ(::mkfifo((folder_ / "pipe.jpg").c_str(), 0600), 0);
  std::filesystem::create_directory(folder_ / "folder.jpg");
  EXPECT_EQ(describe(), Names{"a -1 -"});
  EXPECT_EQ(list().skipped,
            (Names{"broken.jpg: a link to nothing", "empty.jpg: empty", "pipe.jpg: not a file"}));
}

TEST_F(FolderTest, FollowsLinksToFilesOnly) {
  put("sub/a.jpg");
  std::filesystem::create_symlink("sub/a.jpg", folder_ / "link.jpg");
  std::filesystem::create_directory_symlink(".", folder_ / "loop");
  EXPECT_EQ(describe(), (Names{"link -1 -", "sub/a 0 -"}));
  EXPECT_EQ(list().skipped, Names{"loop: a link to a folder"});
}

TEST_F(FolderTest, PassesOverHiddenNames) {
  put("a.jpg");
  put("._a.jpg");
  put(".git/b.jpg");
  put("sub/.thumbs/c.jpg");
  EXPECT_EQ(describe(), Names{"a -1 -"});
  EXPECT_EQ(list().hidden, 3U);
}

TEST_F(FolderTest, SkipsNamesThatNoShardCanHold) {
  put("a.jpg");
  put("caf\xE9.jpg");
  put("__dir__/b.jpg");
  put("c/__dir__/d.jpg");
  EXPECT_EQ(describe(), (Names{"a -1 -", "c/__dir__/d 0 -"}));
  EXPECT_EQ(list().skipped,
            (Names{"__dir__/b.jpg: a top folder named __x__ is metadata to readers of tars",
                   "caf\xE9.jpg: the name is not UTF-8"}));
}

TEST_F(FolderTest, CountsFilesOfNoUse) {
  put("a.jpg");
  put("notes.MD");
  put("sub/more.md");
  put("Makefile");
  EXPECT_EQ(describe(), Names{"a -1 -"});
  EXPECT_EQ(list().others, (std::map<std::string, std::size_t>{{".md", 2}, {"", 1}}));
}

TEST_F(FolderTest, SkipsACaptionThatIsNotUtf8) {
  put("a.jpg");
  put("a.txt", "caf\xE9");
  EXPECT_EQ(describe(), Names{"a -1 -"});
  EXPECT_EQ(list().skipped, Names{(folder_ / "a.txt").string() + ": not UTF-8"});
  EXPECT_EQ(list().images_without_caption, Names{"a.jpg"});
}

TEST_F(FolderTest, FindsCaptionsInWhateverCase) {
  put("A.JPG");
  put("A.TXT", "words");
  put("b.jpg");
  put("b.Txt", "first");
  put("b.txt", "second");
  EXPECT_EQ(describe(), (Names{"A -1 words", "b -1 first"}));
  EXPECT_EQ(list().skipped, Names{"b.txt: a second caption of one image"});
}

TEST_F(FolderTest, TakesAnotherCaptionExtension) {
  put("a.jpg");
  put("a.caption", "words");
  const FolderListing listing = list_folder(folder_.path(), {.caption_extension = "caption"});
  EXPECT_EQ(listing.items[0].caption, "words");
  EXPECT_TRUE(listing.captions_without_image.empty());
}

TEST_F(FolderTest, KeepsTheOrderOfKeysWhateverTheOrderOnDisk) {
  for (const char* name : {"b/1.jpg", "a.jpg", "a/1.jpg", "a-b.jpg", "B.jpg"}) put(name);
  EXPECT_EQ(describe(), (Names{"B -1 -", "a -1 -", "a-b -1 -", "a/1 0 -", "b/1 1 -"}));
}

TEST_F(FolderTest, RefusesAFolderWithoutImages) {
  put("a.gif");
  EXPECT_EQ(error_text([&] { list(); }),
            folder_.path().string() + ": no image in this folder; expected jpg, png or webp files");
  put("000.tar");
  EXPECT_EQ(error_text([&] { list(); }),
            folder_.path().string() +
                ": no image in this folder; expected jpg, png or webp files; tars are named by "
                "themselves: '" +
                (folder_ / "*.tar").string() + "'");
  EXPECT_EQ(error_text([] { list_folder("/nowhere"); }),
            "/nowhere: cannot read the folder: No such file or directory");
}

}  // namespace

}  // namespace crescendo::dataloader
