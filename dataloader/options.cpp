#include "dataloader/options.h"

namespace crescendo::dataloader {

std::vector<Field> fields(DataOptions& options) {
  return {
      {"shards", &options.shards,
       "tar shards: paths, brace lists (train-{000..009}.tar), globs, @FILE with one of these a "
       "line, pipe:COMMAND, - for standard input"},
      {"weights", &options.weights,
       "share of the samples from each entry of shards; [] reads all shards as one set", 0},
      {"resolution", &options.resolution,
       "width and height of the training images, pixels; with enable_bucket, the root of the "
       "largest area",
       1, 16384},
      {"center_crop", &options.center_crop,
       "cut the middle of the resized image; false: a random part of it"},
      {"random_flip", &options.random_flip, "mirror half of the images left to right"},
      {"enable_bucket", &options.enable_bucket,
       "batches of several aspect ratios, each image in the nearest one; false: squares only"},
      {"min_bucket_reso", &options.min_bucket_reso,
       "shortest side of a bucket, pixels; half of resolution where not given", 1, 16384},
      {"max_bucket_reso", &options.max_bucket_reso,
       "longest side of a bucket, pixels; twice resolution where not given", 1, 16384},
      {"bucket_reso_steps", &options.bucket_reso_steps,
       "sides of buckets are multiples of so many pixels", 1, 16384},
      {.name = "image_interpolation_mode",
       .value = &options.image_interpolation_mode,
       .doc = "filter of the antialiased resize",
       .choices = {"bilinear", "bicubic", "lanczos"}},
      {"jpeg_scaled_decoding", &options.jpeg_scaled_decoding,
       "decode a JPEG at 1/2, 1/4 or 1/8 where three times the training size remains: faster for "
       "large photographs, whose values then differ by 1 of 255 in the mean, 99 % by 8 at most"},
      {"background", &options.background,
       "what shows through transparent pixels: white, black, gray or #RRGGBB"},
      {"caption", &options.caption,
       "the member that holds the caption: a suffix (txt), json:FIELD (also json:OBJECT.FIELD), or "
       "none"},
      {.name = "caption_line",
       .value = &options.caption_line,
       .doc = "of a caption with several lines: all, the first, or another one each time",
       .choices = {"all", "first", "random"}},
      {"label", &options.label,
       "the member that holds the class: a suffix (cls), json:FIELD, or none"},
      {"class_names", &options.class_names,
       "names of the classes in order, for data that gives a class by name"},
      {"streams", &options.streams,
       "shards read side by side where not all have an index, and with enable_bucket, batches "
       "gathered side by side; a multiple of the number of GPUs",
       1, 65536},
      {"shuffle_buffer", &options.shuffle_buffer,
       "undecoded samples of these shards that the shuffle draws from; 1 keeps their order", 1,
       1e9},
      {"pipe_timeout", &options.pipe_timeout,
       "seconds after which a silent pipe:, FIFO or standard input is given up", 1, 1e6},
      {"workers", &options.workers, "threads that decode images", 1, 1024},
      {"prefetch", &options.prefetch, "batches decoded ahead", 1, 1024},
      {"max_bad_fraction", &options.max_bad_fraction,
       "stop when more than this share of an epoch's samples (100 or more) is unusable", 0, 1},
      {"max_pixels", &options.max_pixels, "refuse images of more pixels, before decoding them", 1,
       1e10},
      {"max_sample_bytes", &options.max_sample_bytes,
       "refuse samples whose members take more bytes", 1, 1e12},
  };
}

}  // namespace crescendo::dataloader
