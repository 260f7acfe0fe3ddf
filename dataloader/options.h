#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/fields.h"

namespace crescendo::dataloader {

/// The section [data] of a config: which samples, and how an image becomes a square of pixels.
struct DataOptions {
  std::vector<std::string> shards;
  std::vector<double> weights;
  std::int64_t resolution = 512;
  bool center_crop = true;
  bool random_flip = false;
  std::string image_interpolation_mode = "bicubic";
  bool jpeg_scaled_decoding = false;
  std::string background = "white";
  std::string caption = "txt";
  std::string caption_line = "all";
  std::string label = "cls";
  std::vector<std::string> class_names;
  std::int64_t streams = 4;
  std::int64_t shuffle_buffer = 1000;
  std::int64_t pipe_timeout = 300;
  std::int64_t workers = 2;
  std::int64_t prefetch = 2;
  double max_bad_fraction = 0.1;
  std::int64_t max_pixels = 89'478'485;
  std::int64_t max_sample_bytes = 268'435'456;
};

std::vector<Field> fields(DataOptions& options);

}  // namespace crescendo::dataloader
