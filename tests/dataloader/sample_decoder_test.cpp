#include "dataloader/sample_decoder.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "dataloader/encode_image.h"
#include "tests/core/error_text.h"
#include "tests/dataloader/jpeg_bytes.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

DataOptions small_options() {
  DataOptions options;
  options.resolution = 8;
  return options;
}

RawSample sample_of(std::vector<std::pair<std::string, std::string>> members,
                    const std::string& image = "baseline.jpg") {
  RawSample raw{"a", "x.tar", {}, {}};
  if (!image.empty()) raw.members.push_back({"jpg", read_data(image)});
  for (const auto& [suffix, text] : members) raw.members.push_back({suffix, bytes_of(text)});
  return raw;
}

/// The decoded sample, with captions from `caption`.
Sample captioned(const std::string& caption, const RawSample& raw) {
  DataOptions options = small_options();
  options.caption = caption;
  return SampleDecoder(options, {.caption = true}, 0).decode(raw, 0);
}

std::string caption_error(const std::string& caption, const RawSample& raw) {
  return sample_error_text([&] { captioned(caption, raw); });
}

struct LabelSource {
  std::string label = "cls";
  std::vector<std::string> class_names{};
  std::int64_t num_classes = 0;
};

std::int64_t label_of(const RawSample& raw, const LabelSource& source = {}) {
  DataOptions options = small_options();
  options.label = source.label;
  options.class_names = source.class_names;
  const Need need{.label = true, .num_classes = source.num_classes};
  return SampleDecoder(options, need, 0).decode(raw, 0).label;
}

std::string label_error(const RawSample& raw, const LabelSource& source = {}) {
  return sample_error_text([&] { label_of(raw, source); });
}

std::string options_error(const DataOptions& options, const Need& need = {}) {
  return error_text([&] { SampleDecoder(options, need, 0); });
}

TEST(CaptionTest, IsTrimmed) {
  EXPECT_EQ(captioned("txt", sample_of({{"txt", "\xEF\xBB\xBF a cat \r\n"}})).caption, "a cat");
  EXPECT_EQ(captioned("txt", sample_of({{"txt", ""}})).caption, "");
  EXPECT_EQ(captioned("caption.txt", sample_of({{"caption.txt", "a"}})).caption, "a");
}

TEST(CaptionTest, ComesFromAFieldOfTheJson) {
  EXPECT_EQ(captioned("json:text", sample_of({{"json", R"({"text":" a c\u00e4t "})"}})).caption,
            "a c\u00E4t");
}

TEST(CaptionTest, ComesFromAFieldOfAFieldOfTheJson) {
  const RawSample raw = sample_of({{"json", R"({"a":{"b":{"c":"deep"}},"a.b.d":"dotted"})"}});
  EXPECT_EQ(captioned("json:a.b.c", raw).caption, "deep");
  EXPECT_EQ(captioned("json:a.b.d", raw).caption, "dotted");
  EXPECT_EQ(caption_error("json:a.c", raw), "no caption: the JSON has no field 'a.c'");
  EXPECT_EQ(caption_error("json:a.b.c.d", raw), "no caption: the JSON has no field 'a.b.c.d'");
  EXPECT_EQ(caption_error("json:a.b", raw), "bad caption: 'a.b' is no string");
}

TEST(CaptionTest, MayBeEmptyButNotNull) {
  // As img2dataset writes a picture without alternative text.
  EXPECT_EQ(captioned("txt", sample_of({{"txt", ""}})).caption, "");
  EXPECT_EQ(captioned("json:caption", sample_of({{"json", R"({"caption":""})"}})).caption, "");
  EXPECT_EQ(caption_error("json:caption", sample_of({{"json", R"({"caption":null})"}})),
            "no caption: 'caption' is null");
}

TEST(CaptionTest, IsAllOrOneOfItsLines) {
  const RawSample raw = sample_of({{"txt", "\xEF\xBB\xBF\n one \r\n\n two\nthree\n"}});
  const auto caption = [&](const std::string& line, std::uint64_t ordinal) {
    DataOptions options = small_options();
    options.caption_line = line;
    return SampleDecoder(options, {.caption = true}, 3).decode(raw, ordinal).caption;
  };
  EXPECT_EQ(caption("all", 0), "one \r\n\n two\nthree");
  EXPECT_EQ(caption("first", 0), "one");
  std::map<std::string, int> seen;
  for (std::uint64_t ordinal = 0; ordinal < 600; ++ordinal) ++seen[caption("random", ordinal)];
  ASSERT_EQ(seen.size(), 3U);
  for (const char* line : {"one", "two", "three"}) EXPECT_NEAR(seen[line], 200, 50) << line;
  EXPECT_EQ(caption("random", 7), caption("random", 7));
  for (const char* line : {"first", "random"}) {
    DataOptions options = small_options();
    options.caption_line = line;
    const SampleDecoder decoder(options, {.caption = true}, 3);
    EXPECT_EQ(decoder.decode(sample_of({{"txt", " \n\n"}}), 0).caption, "");
  }
}

TEST(CaptionTest, NamesWhatIsWrong) {
  EXPECT_EQ(caption_error("txt", sample_of({{"cls", "1"}})),
            "no caption: expected a member txt, found jpg, cls");
  EXPECT_EQ(caption_error("txt", sample_of({{"txt", "\xE9"}})), "bad caption: .txt is not UTF-8");
  EXPECT_EQ(caption_error("json:text", sample_of({})),
            "no caption: expected a member json, found jpg");
  EXPECT_EQ(caption_error("json:text", sample_of({{"json", R"({"other":1})"}})),
            "no caption: the JSON has no field 'text'");
  EXPECT_EQ(caption_error("json:text", sample_of({{"json", R"({"text":null})"}})),
            "no caption: 'text' is null");
  EXPECT_EQ(caption_error("json:text", sample_of({{"json", R"({"text":1})"}})),
            "bad caption: 'text' is no string");
  EXPECT_EQ(caption_error("json:text", sample_of({{"json", "[1]"}})),
            "bad caption: .json is no JSON object");
  EXPECT_EQ(caption_error("json:text", sample_of({{"json", "{"}})),
            "bad caption: .json is no JSON object");
}

TEST(LabelTest, IsANumberOrAName) {
  EXPECT_EQ(label_of(sample_of({{"cls", " 12\n"}})), 12);
  EXPECT_EQ(label_of(sample_of({{"json", R"({"class":3})"}}), {.label = "json:class"}), 3);
  EXPECT_EQ(label_of(sample_of({{"json", R"({"class":"4"})"}}), {.label = "json:class"}), 4);
  const LabelSource names{.class_names = {"cat", "7"}};
  EXPECT_EQ(label_of(sample_of({{"cls", "cat\n"}}), names), 0);
  EXPECT_EQ(label_of(sample_of({{"cls", "7"}}), names), 1);
  EXPECT_EQ(label_of(sample_of({{"cls", "9"}}), {.num_classes = 10}), 9);
}

TEST(LabelTest, NamesWhatIsWrong) {
  EXPECT_EQ(label_error(sample_of({})), "no class: expected a member cls, found jpg");
  EXPECT_EQ(label_error(sample_of({{"json", "{}"}}), {.label = "json:class"}),
            "no class: the JSON has no field 'class'");
  EXPECT_EQ(label_error(sample_of({{"cls", "10"}}), {.num_classes = 10}),
            "class out of range: class 10; the model has 10 classes, 0 to 9");
  for (const std::string text : {"", "dog", "-1", "1.5", "1 2", "99999999999999999999", "0x1"}) {
    EXPECT_EQ(
        label_error(sample_of({{"cls", text}})),
        "bad class: expected a number from 0 or a name of data.class_names, found '" + text + "'");
  }
  EXPECT_EQ(label_error(sample_of({{"cls", "\xFF"}})), "bad class: .cls is not UTF-8");
}

TEST(SampleDecoderTest, ReadsOnlyWhatIsNeeded) {
  const Sample sample = SampleDecoder(small_options(), {}, 0).decode(sample_of({}), 42);
  EXPECT_EQ(sample.key, "a");
  EXPECT_EQ(sample.caption, "");
  EXPECT_EQ(sample.label, -1);
  EXPECT_EQ(sample.ordinal, 42U);
  EXPECT_EQ(sample.image.size(), 8U * 8 * 3);
}

TEST(SampleDecoderTest, RefusesASampleThatCannotBeUsed) {
  const SampleDecoder decoder(small_options(), {}, 0);
  const auto error_of = [&](const RawSample& raw) {
    return sample_error_text([&] { decoder.decode(raw, 0); });
  };
  EXPECT_EQ(
      error_of(sample_of({{"txt", "a"}, {"seg.png", "b"}}, "")),
      "no image: expected a member jpg, png or webp, found txt, seg.png (a name is cut at its "
      "first dot)");
  RawSample raw = sample_of({});
  raw.members[0].bytes.resize(300);
  EXPECT_EQ(error_of(raw), "corrupt image: JPEG: Premature end of JPEG file");
  raw.members[0] = {"gif", read_data("still.gif")};
  EXPECT_EQ(error_of(raw), "unsupported image format: expected JPEG, PNG or WebP, found a GIF");
  raw = sample_of({});
  raw.key = "\xFF";
  EXPECT_EQ(error_of(raw), "bad key: the name is not UTF-8");
  raw = {"a", "x.tar", {}, Defect{"duplicate member", "'a.jpg' comes twice"}};
  EXPECT_EQ(error_of(raw), "duplicate member: 'a.jpg' comes twice");
}

/// What one of the image's squares looks like, as [3,8,8].
std::vector<std::uint8_t> square_of(const std::string& file, std::int64_t left, bool flip) {
  const Image image = decode_image(read_data(file));
  const Image cut = resize(image, {12, 8}, {left, 0, {8, 8}}, Filter::kBicubic);
  std::vector<std::uint8_t> planar;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t y = 0; y < 8; ++y) {
      for (std::size_t x = 0; x < 8; ++x) {
        planar.push_back(cut.pixels[(y * 8 + (flip ? 7 - x : x)) * 3 + channel]);
      }
    }
  }
  return planar;
}

TEST(SampleDecoderTest, CutsTheMiddle) {
  const SampleDecoder decoder(small_options(), {}, 0);
  EXPECT_EQ(decoder.decode(sample_of({}), 0).image, square_of("baseline.jpg", 2, false));
  EXPECT_EQ(decoder.decode(sample_of({}), 99).image, square_of("baseline.jpg", 2, false));
}

/// The largest difference that data.jpeg_scaled_decoding makes.
int difference_by_scaling(const Bytes& jpeg) {
  DataOptions options = small_options();
  RawSample raw = sample_of({});
  raw.members[0].bytes = jpeg;
  const auto exact = SampleDecoder(options, {}, 0).decode(raw, 0).image;
  options.jpeg_scaled_decoding = true;
  const auto scaled = SampleDecoder(options, {}, 0).decode(raw, 0).image;
  int largest = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::abs(int{exact[i]} - int{scaled[i]}));
  }
  return largest;
}

TEST(SampleDecoderTest, DecodesAJpegSmallerWhereThreeTimesTheSizeRemains) {
  const auto noise = [](int side) { return jpeg_bytes({.width = side + 30, .height = side}, 1); };
  EXPECT_EQ(difference_by_scaling(noise(2 * 3 * 8 - 2)), 0);
  for (const int side : {2 * 3 * 8, 4 * 3 * 8, 8 * 3 * 8, 300}) {
    EXPECT_GT(difference_by_scaling(noise(side)), 0) << side;
  }
}

TEST(SampleDecoderTest, AJpegDecodedSmallerLiesWhereItDid) {
  Image slope{304, 200, std::vector<std::uint8_t>(304 * 200 * 3)};
  for (std::int64_t i = 0; i < 304 * 200; ++i) {
    slope.pixels[i * 3] = static_cast<std::uint8_t>(i % 304 * 255 / 303);
    slope.pixels[i * 3 + 1] = static_cast<std::uint8_t>(i / 304 * 255 / 199);
  }
  EXPECT_LE(difference_by_scaling(encode_jpeg(slope, 95)), 1);
}

TEST(SampleDecoderTest, TellsOfAColourProfile) {
  const SampleDecoder decoder(small_options(), {}, 0);
  RawSample raw = sample_of({});
  EXPECT_FALSE(decoder.decode(raw, 0).has_profile);
  const Bytes marker = bytes_of(std::string("\xFF\xE2\x00\x16ICC_PROFILE\0\1\1abcdef", 24));
  Bytes& bytes = raw.members[0].bytes;
  bytes.insert(bytes.begin() + 2, marker.begin(), marker.end());
  EXPECT_TRUE(decoder.decode(raw, 0).has_profile);
}

TEST(SampleDecoderTest, FlipsHalfOfTheSamples) {
  DataOptions options = small_options();
  options.random_flip = true;
  const SampleDecoder decoder(options, {}, 5);
  int flipped = 0;
  for (std::uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
    const auto image = decoder.decode(sample_of({}), ordinal).image;
    const bool flip = image == square_of("baseline.jpg", 2, true);
    ASSERT_TRUE(flip || image == square_of("baseline.jpg", 2, false));
    flipped += flip ? 1 : 0;
  }
  EXPECT_GT(flipped, 30);
  EXPECT_LT(flipped, 70);
}

TEST(SampleDecoderTest, CutsARandomSquareOfWhichEachIsReached) {
  DataOptions options = small_options();
  options.center_crop = false;
  std::set<std::int64_t> lefts;
  const SampleDecoder decoder(options, {}, 5);
  for (std::uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
    const auto image = decoder.decode(sample_of({}), ordinal).image;
    std::int64_t left = 0;
    while (left <= 4 && image != square_of("baseline.jpg", left, false)) ++left;
    ASSERT_LE(left, 4);
    lefts.insert(left);
  }
  EXPECT_EQ(lefts.size(), 5U);
}

TEST(SampleDecoderTest, IsAFunctionOfSeedAndOrdinal) {
  DataOptions options = small_options();
  options.center_crop = false;
  options.random_flip = true;
  const auto images = [&](std::uint64_t seed) {
    std::vector<std::vector<std::uint8_t>> all;
    const SampleDecoder decoder(options, {}, seed);
    for (std::uint64_t i = 0; i < 20; ++i) all.push_back(decoder.decode(sample_of({}), i).image);
    return all;
  };
  EXPECT_EQ(images(1), images(1));
  EXPECT_NE(images(1), images(2));
}

TEST(SampleDecoderTest, RefusesOptionsThatCannotBeMet) {
  DataOptions options = small_options();
  EXPECT_EQ(options_error(options), "");
  options.background = "red";
  EXPECT_EQ(options_error(options),
            "data.background: expected white, black, gray or #RRGGBB, found 'red'");
  options = small_options();
  options.image_interpolation_mode = "nearest";
  EXPECT_EQ(
      options_error(options),
      "data.image_interpolation_mode: expected bilinear, bicubic or lanczos, found 'nearest'");
  for (const std::string source : {"", "json:", "a/b", "xml:a"}) {
    options = small_options();
    options.caption = source;
    EXPECT_EQ(options_error(options),
              "data.caption: expected a suffix (txt), json:FIELD or none, found '" + source + "'");
  }
  options = small_options();
  options.caption = options.label = "none";
  EXPECT_EQ(options_error(options), "");
  EXPECT_EQ(
      options_error(options, {.caption = true}),
      "data.caption: captions are needed here; expected a suffix or json:FIELD, found 'none'");
  EXPECT_EQ(options_error(options, {.label = true}),
            "data.label: classes are needed here; expected a suffix or json:FIELD, found 'none'");
  options.class_names = {"cat", "dog", "cat"};
  EXPECT_EQ(options_error(options), "data.class_names: 'cat' comes twice");
}

}  // namespace

}  // namespace crescendo::dataloader
