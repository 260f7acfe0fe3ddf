#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "dataloader/image.h"

namespace crescendo::pipelines {

// What the server knows of drawing: nothing but this, so that it needs no tensors.

/// What clients are told of the model, and what stands where they say nothing.
struct ServedModel {
  std::string name{};  ///< of its folder or file
  std::string path{};
  std::string conditioning = "text";       ///< "text", "class" or "none", as train.conditioning
  std::vector<std::string> class_names{};  ///< of classes 0, 1, ...
  std::int64_t width = 512;                ///< pixels
  std::int64_t height = 512;               ///< pixels
  std::int64_t size_multiple = 8;          ///< sides are multiples of it
  double cfg_scale = 7;
  std::int64_t steps = 50;
  std::string sampler = "ddim";        ///< as `crescendo generate --sampler` has them
  std::string scheduler = "discrete";  ///< likewise
};

struct PaintRequest {
  std::string prompt{};           ///< of a text model
  std::string negative_prompt{};  ///< likewise
  std::string label{};            ///< of a class model: number or name
  std::uint64_t seed = 0;         ///< of the first picture; the next has seed + 1
  std::int64_t count = 1;         ///< pictures
  std::int64_t batch_size = 1;    ///< pictures drawn at a time
  std::int64_t steps = 50;
  double cfg_scale = 7;  ///< 1: no guidance
  std::int64_t width = 512;
  std::int64_t height = 512;
  std::string sampler{};
  std::string scheduler{};
  double eta = 0;                                 ///< of ddim
  std::optional<dataloader::Image> init_image{};  ///< width x height: img2img
  std::optional<dataloader::Image> mask{};        ///< width x height, grey; white is drawn anew
  double strength = 0.75;                         ///< of img2img: the share of the steps taken
};

struct PaintedPicture {
  std::vector<std::byte> png{};
  std::uint64_t seed = 0;
  std::string parameters{};  ///< how it was made, in AUTOMATIC1111's words
};

/// Told after each step.
struct PaintStep {
  std::int64_t done = 0;  ///< steps of the whole request
  std::int64_t steps = 0;
  std::function<dataloader::Image()> preview{};  ///< what there is to see so far; may be empty
};

/// Thrown by those who are told of a step, it ends the drawing.
class PaintingCancelled : public Error {
 public:
  PaintingCancelled() : Error("cancelled") {}
};

/// Thrown likewise, it ends those of one time alone: the painter goes on with the next.
class PicturesSkipped : public Error {
 public:
  PicturesSkipped() : Error("skipped") {}
};

struct Painter {
  ServedModel model;

  /// Throws UserError for what the model cannot do. Called from several threads.
  std::function<void(const PaintRequest&)> check;

  /// Draws, handing over each picture as it is ready. Called from one thread.
  std::function<void(const PaintRequest&, const std::function<void(const PaintStep&)>& on_step,
                     const std::function<void(PaintedPicture)>& take)>
      paint;
};

}  // namespace crescendo::pipelines
