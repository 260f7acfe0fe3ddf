#include "dataloader/sample_reader.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

/// "key{suffix=text,...}" of each sample; a defect in place of the members.
std::vector<std::string> describe(const Bytes& tar, std::uint64_t max_sample_bytes = 1000) {
  TarReader archive(tar, "x.tar");
  SampleReader reader(archive, max_sample_bytes);
  std::vector<std::string> samples;
  while (const auto sample = reader.next()) {
    EXPECT_EQ(sample->shard, "x.tar");
    std::string text = sample->key + "{";
    for (const RawMember& member : sample->members) {
      text += (text.back() == '{' ? "" : ",") + member.suffix + "=" + text_of(member.bytes);
    }
    text += "}";
    if (sample->defect) text += sample->defect->cause + ": " + sample->defect->detail;
    samples.push_back(text);
  }
  return samples;
}

using Samples = std::vector<std::string>;

TEST(MemberNameTest, CutsAtTheFirstDotOfTheBasename) {
  struct Case {
    const char* name;
    const char* key;
    const char* suffix;
  };
  for (const Case& one : {
           Case{"a.jpg", "a", "jpg"},
           Case{"a.seg.jpg", "a", "seg.jpg"},
           Case{"dir/a.jpg", "dir/a", "jpg"},
           Case{"a.b/c.jpg", "a.b/c", "jpg"},
           Case{"v1.0_img.jpg", "v1", "0_img.jpg"},
           Case{"a..jpg", "a", ".jpg"},
           Case{"foo.", "foo", ""},
           Case{"./a.jpg", "./a", "jpg"},
           Case{"/a.jpg", "/a", "jpg"},
           Case{"A.JPG", "A", "jpg"},
           Case{"a.\u00C4X", "a", "\u00C4x"},
           Case{"__x__.json", "__x__", "json"},
           Case{"d/__x__/b.jpg", "d/__x__/b", "jpg"},
           Case{"__x/b.jpg", "__x/b", "jpg"},
           Case{"___/b.jpg", "___/b", "jpg"},
       }) {
    const auto split = split_member_name(one.name);
    ASSERT_TRUE(split) << one.name;
    EXPECT_EQ(split->key, one.key) << one.name;
    EXPECT_EQ(split->suffix, one.suffix) << one.name;
  }
}

TEST(MemberNameTest, PassesOverWhatBelongsToNoSample) {
  for (const char* name :
       {"", "foo", "dir/foo", "dir.d/foo", ".hidden", ".hidden.jpg", "a/", "a.b/", "__meta__",
        "__meta__/a.jpg", "____/a.jpg", "__dir__/sub/a.jpg"}) {
    EXPECT_FALSE(split_member_name(name)) << name;
  }
}

TEST(MemberNameTest, PassesOverTheFilesOfMacOs) {
  for (const char* name :
       {"._foo.jpg", "./._foo.jpg", "dir/._foo.jpg", "dir/.DS_Store", "__MACOSX/._a.jpg"}) {
    EXPECT_FALSE(split_member_name(name)) << name;
  }
}

TEST(SampleReaderTest, GroupsAdjacentMembers) {
  EXPECT_EQ(describe(tar_of({{"a.jpg", "1"}, {"a.txt", "2"}, {"d/a.txt", "3"}, {"b.JPG", "4"}})),
            (Samples{"a{jpg=1,txt=2}", "d/a{txt=3}", "b{jpg=4}"}));
}

TEST(SampleReaderTest, TakesALaterRepetitionForASampleOfItsOwn) {
  EXPECT_EQ(describe(tar_of({{"a.jpg", "1"}, {"b.jpg", "2"}, {"a.txt", "3"}})),
            (Samples{"a{jpg=1}", "b{jpg=2}", "a{txt=3}"}));
}

TEST(SampleReaderTest, KeepsPairsTogetherAcrossOtherMembers) {
  const Bytes tar = TarBytes()
                        .add("d/", "", '5')
                        .add("d/._a.jpg", "mac")
                        .add("d/a.jpg", "1")
                        .add("d/._a.txt", "mac")
                        .add("README", "no dot")
                        .add("d/a.lnk", "", '2')
                        .add("__meta__/x.json", "{}")
                        .add("d/a.txt", "2")
                        .end()
                        .bytes();
  EXPECT_EQ(describe(tar), Samples{"d/a{jpg=1,txt=2}"});
}

TEST(SampleReaderTest, ReadsAShardWithoutSamples) {
  EXPECT_EQ(describe(TarBytes().end().bytes()), Samples());
  EXPECT_EQ(describe(tar_of({{"README", "text"}})), Samples());
}

TEST(SampleReaderTest, MarksADuplicateMemberAndGoesOn) {
  EXPECT_EQ(describe(tar_of({{"a.jpg", "1"}, {"a.JPG", "2"}, {"a.txt", "3"}, {"b.jpg", "4"}})),
            (Samples{"a{}duplicate member: 'a.JPG' comes twice", "b{jpg=4}"}));
}

TEST(SampleReaderTest, BoundsTheBytesOfASample) {
  const Bytes tar = tar_of({{"a.jpg", std::string(60, 'a')},
                            {"a.txt", std::string(40, 't')},
                            {"b.jpg", std::string(60, 'b')},
                            {"b.txt", std::string(41, 't')},
                            {"c.jpg", "C"}});
  const Samples samples = describe(tar, 100);
  ASSERT_EQ(samples.size(), 3U);
  EXPECT_TRUE(samples[0].starts_with("a{jpg=aaa"));
  EXPECT_EQ(samples[1],
            "b{}sample too large: 'b.txt' has 41 bytes; max_sample_bytes is 100 for all members");
  EXPECT_EQ(samples[2], "c{jpg=C}");
}

TEST(SampleReaderTest, FindsAMemberBySuffix) {
  const Bytes tar = tar_of({{"a.jpg", "12"}, {"a.seg.png", "3"}});
  TarReader archive(tar, "x.tar");
  SampleReader reader(archive, 100);
  const auto sample = reader.next();
  ASSERT_TRUE(sample);
  ASSERT_NE(sample->find("seg.png"), nullptr);
  EXPECT_EQ(text_of(sample->find("seg.png")->bytes), "3");
  EXPECT_EQ(sample->find("png"), nullptr);
  EXPECT_EQ(sample->byte_count(), 3U);
}

TEST(SampleReaderTest, GivesNoSampleThatTheDamageMayHaveCut) {
  Bytes tar = tar_of({{"a.jpg", "1"}, {"b.jpg", "2"}, {"b.txt", "3"}});
  tar[2048] ^= std::byte{1};  // the header of b.txt
  TarReader archive(tar, "x.tar");
  SampleReader reader(archive, 100);
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->key, "a");
  EXPECT_NE(data_error_text([&] { reader.next(); }), "");
}

}  // namespace

}  // namespace crescendo::dataloader
