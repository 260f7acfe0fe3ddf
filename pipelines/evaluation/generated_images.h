#pragma once

#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "pipelines/evaluation/image_source.h"
#include "pipelines/evaluation/subjects.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/generation/picture_origin.h"

namespace crescendo::pipelines {

/// Which images a model draws to be judged: image k has the seed `seed` + k and subject k modulo
/// their number.
struct GeneratedImagesOptions {
  Subjects subjects;
  std::uint64_t seed = 0;
  std::uint64_t samples = 0;
  std::uint64_t batch_size = 8;      ///< drawn at a time
  PictureOrigin origin{};            ///< of all of them: files and options
  std::filesystem::path folder{};    ///< where they are kept as PNG, or none
  nlohmann::ordered_json drawing{};  ///< what they are a function of, beside subjects and seeds
};

/// Images of a model, drawn when they are asked for, in 8 bits as a PNG has them. With a folder,
/// those that are in it already are read instead.
class GeneratedImages : public ImageSource {
 public:
  /// Throws UserError when the folder holds images that were drawn otherwise.
  GeneratedImages(const DiffusionModel& model, at::Device device, GeneratedImagesOptions options);

  std::uint64_t size() const override { return options_.samples; }
  std::optional<SourceImage> next() override;

  const nlohmann::ordered_json& drawing() const { return options_.drawing; }

 private:
  std::filesystem::path file_of(std::uint64_t number) const;
  void prepare_folder() const;
  ImageRequest request_of(std::uint64_t number) const;
  SourceImage image_of(std::uint64_t number, dataloader::Image picture) const;
  void write(std::uint64_t number, const dataloader::Image& picture) const;
  void draw_batch();

  GeneratedImagesOptions options_;
  ImageGenerator generator_;
  std::uint64_t next_ = 0;
  std::deque<SourceImage> ready_;
};

}  // namespace crescendo::pipelines
