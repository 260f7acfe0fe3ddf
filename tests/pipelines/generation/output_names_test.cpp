#include "pipelines/generation/output_names.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

const std::vector<PictureName> kTwo{{"a cat, 4k", 7}, {"a cat, 4k", 8}};

std::vector<std::string> names(const std::string& output,
                               const std::vector<PictureName>& pictures = kTwo) {
  std::vector<std::string> found;
  for (const auto& file : output_names(output, pictures).files) found.push_back(file.string());
  return found;
}

using Names = std::vector<std::string>;

TEST(OutputNamesTest, PatternsNameEachPicture) {
  EXPECT_EQ(names("o/%d.png"), (Names{"o/0.png", "o/1.png"}));
  EXPECT_EQ(names("%03d-{seed}.jpg"), (Names{"000-7.jpg", "001-8.jpg"}));
  EXPECT_EQ(names("{prompt}_{seed}.WebP"), (Names{"a_cat_4k_7.WebP", "a_cat_4k_8.WebP"}));
  EXPECT_EQ(names("100%-{seed}.png", {{"x", 3}}), Names{"100%-3.png"});
  EXPECT_FALSE(output_names("%d.png", kTwo).is_grid);
}

TEST(OutputNamesTest, WithoutPatternAPictureOrAGrid) {
  EXPECT_EQ(names("a.png", {{"x", 3}}), Names{"a.png"});
  EXPECT_FALSE(output_names("a.png", std::vector<PictureName>(1)).is_grid);
  EXPECT_EQ(names("a.png"), Names{"a.png"});
  EXPECT_TRUE(output_names("a.png", kTwo).is_grid);
}

TEST(OutputNamesTest, ElseAFolder) {
  EXPECT_EQ(names("drawn"), (Names{"drawn/00000.png", "drawn/00001.png"}));
  EXPECT_EQ(names("v1.2/"), (Names{"v1.2/00000.png", "v1.2/00001.png"}));
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "v1.2");
  EXPECT_EQ(names((folder / "v1.2").string()).size(), 2U);
}

TEST(OutputNamesTest, PromptsMakeHarmlessNames) {
  const auto name = [](const std::string& prompt) {
    return names("{prompt}.png", {{prompt, 0}})[0];
  };
  EXPECT_EQ(name("../../etc/passwd; rm -rf *"), "etc_passwd_rm_-rf.png");
  EXPECT_EQ(name("Gr\u00FCn\n\u732B!"), "Gr\u00FCn_\u732B.png");
  EXPECT_EQ(name(""), "picture.png");
  EXPECT_EQ(name("%d{seed}"), "d_seed.png");  // what is put in is not expanded again
  EXPECT_EQ(name(std::string(59, 'x') + "\u732B"), std::string(59, 'x') + ".png");
}

TEST(OutputNamesTest, NoPictureTakesTheNameOfAnother) {
  EXPECT_EQ(error_text([] { names("{prompt}.png"); }),
            "{prompt}.png: pictures 0 and 1 would both be a_cat_4k.png; add %d, which is the "
            "picture's number");
}

TEST(OutputNamesTest, SuffixIsAPictures) {
  for (const char* output : {"a.bmp", "%d", "{seed}.tiff"}) {
    EXPECT_TRUE(error_text([&] {
                  names(output);
                }).starts_with(std::string(output) + ": expected a name ending in .png, .jpg"))
        << output;
  }
}

}  // namespace
}  // namespace crescendo::pipelines
