#include "dataloader/options.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::dataloader {

namespace {

std::string error_of(const nlohmann::json& values) {
  DataOptions options;
  return error_text([&] { read_model_config(values, "data", fields(options), {}); });
}

TEST(DataOptionsTest, ReadsEveryField) {
  const nlohmann::json values{{"shards", {"a.tar", "b.tar"}},
                              {"weights", {0.5, 2.0}},
                              {"resolution", 64},
                              {"center_crop", false},
                              {"random_flip", true},
                              {"image_interpolation_mode", "lanczos"},
                              {"jpeg_scaled_decoding", true},
                              {"background", "#010203"},
                              {"caption", "json:text"},
                              {"caption_line", "first"},
                              {"label", "none"},
                              {"class_names", {"cat", "dog"}},
                              {"streams", 8},
                              {"shuffle_buffer", 7},
                              {"pipe_timeout", 60},
                              {"workers", 3},
                              {"prefetch", 4},
                              {"max_bad_fraction", 0.25},
                              {"max_pixels", 1000},
                              {"max_sample_bytes", 2000}};
  DataOptions options;
  read_model_config(values, "data", fields(options), {});
  EXPECT_EQ(nlohmann::json(fields_to_json(fields(options))), values);
  EXPECT_EQ(options.shards, (std::vector<std::string>{"a.tar", "b.tar"}));
  EXPECT_EQ(options.resolution, 64);
  EXPECT_EQ(options.max_sample_bytes, 2000);
}

TEST(DataOptionsTest, TheDefaultsAreInRange) {
  DataOptions options;
  EXPECT_EQ(error_of(fields_to_json(fields(options))), "");
}

TEST(DataOptionsTest, RefusesWhatIsOutOfRange) {
  EXPECT_EQ(error_of({{"workers", 0}}), "data: workers: expected integer from 1 to 1024, found 0");
  EXPECT_EQ(error_of({{"image_interpolation_mode", "nearest"}}),
            "data: image_interpolation_mode: expected one of bilinear, bicubic, lanczos, found "
            "\"nearest\"");
  EXPECT_EQ(error_of({{"max_bad_fraction", 1.5}}),
            "data: max_bad_fraction: expected number from 0 to 1, found 1.5");
  EXPECT_EQ(error_of({{"resolutoin", 64}}),
            "data: resolutoin: unknown key; did you mean 'resolution'?");
  for (const char* key :
       {"resolution", "streams", "shuffle_buffer", "prefetch", "max_pixels", "max_sample_bytes"}) {
    EXPECT_NE(error_of({{key, 0}}), "") << key;
    EXPECT_NE(error_of({{key, 1e13}}), "") << key;
  }
}

}  // namespace

}  // namespace crescendo::dataloader
