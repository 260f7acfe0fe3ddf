#include "pipelines/evaluation/generated_images.h"

#include <algorithm>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/interruption.h"
#include "pipelines/evaluation/sha256.h"
#include "pipelines/generation/encode_picture.h"
#include "pipelines/generation/picture.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kManifest = "drawing.json";

std::string hash_of(const std::vector<ImageRequest>& subjects) {
  Sha256 sha;
  for (const ImageRequest& one : subjects) sha.add(fmt::format("{} {}\n", one.label, one.prompt));
  return sha.finish();
}

}  // namespace

GeneratedImages::GeneratedImages(const DiffusionModel& model, at::Device device,
                                 GeneratedImagesOptions options)
    : options_(std::move(options)), generator_(model, device) {
  Subjects& subjects = options_.subjects;
  if (!subjects.key.empty()) options_.drawing[subjects.key] = subjects.origin;
  if (subjects.requests.empty()) subjects.requests.emplace_back();
  if (!options_.folder.empty()) prepare_folder();
}

fs::path GeneratedImages::file_of(std::uint64_t number) const {
  return options_.folder / fmt::format("{:06}.png", number);
}

/// Images go on where they are of this model, drawn this way; others are refused.
void GeneratedImages::prepare_folder() const {
  const fs::path file = options_.folder / kManifest;
  Json manifest = options_.drawing;
  manifest["subjects"] = hash_of(options_.subjects.requests);
  if (!fs::exists(file)) {
    if (fs::exists(options_.folder) && !fs::is_empty(options_.folder)) {
      throw UserError(
          "--save-images: {}: expected an empty folder, or one that this wrote, with {}; found "
          "other files",
          options_.folder.string(), kManifest);
    }
    write_file_atomically(file, manifest.dump(2) + "\n");
    return;
  }
  const Json found = read_json_file(file);
  for (const auto& [key, expected] : manifest.items()) {
    const Json other = found.value(key, Json());
    if (other == expected) continue;
    throw UserError(
        "--save-images: {}: holds images that were drawn otherwise; {}: expected {}, found {}; "
        "choose another folder",
        options_.folder.string(), key, expected.dump(), other.dump());
  }
}

ImageRequest GeneratedImages::request_of(std::uint64_t number) const {
  const std::vector<ImageRequest>& requests = options_.subjects.requests;
  ImageRequest request = requests[number % requests.size()];
  request.seed = options_.seed + number;
  return request;
}

SourceImage GeneratedImages::image_of(std::uint64_t number, dataloader::Image picture) const {
  const ImageRequest request = request_of(number);
  return {.name = fmt::format("image {} (seed {})", number, request.seed),
          .image = std::move(picture),
          .caption = request.prompt};
}

void GeneratedImages::write(std::uint64_t number, const dataloader::Image& picture) const {
  PictureOrigin origin = options_.origin;
  origin.request = request_of(number);
  const std::vector<std::string>& labels = options_.subjects.labels;
  if (!labels.empty()) origin.label = labels[number % labels.size()];
  const std::vector<std::byte> bytes =
      encode_picture(picture, PictureFormat::kPng,
                     {.parameters = parameters_text(origin), .json = to_json(origin)});
  write_file_atomically(file_of(number),
                        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Draws those of the next batch that are not in the folder.
void GeneratedImages::draw_batch() {
  const std::uint64_t end = std::min(next_ + options_.batch_size, options_.samples);
  std::vector<std::optional<dataloader::Image>> pictures(end - next_);
  std::vector<ImageRequest> requests;
  for (std::uint64_t i = next_; i < end; ++i) {
    if (!options_.folder.empty() && fs::exists(file_of(i))) {
      pictures[i - next_] = read_picture(file_of(i));
    } else {
      requests.push_back(request_of(i));
    }
  }
  std::vector<dataloader::Image> drawn;
  if (!requests.empty()) {
    drawn = tensor_to_pictures(generator_.generate(
        requests, options_.origin.options,
        [](std::int64_t, std::int64_t, const at::Tensor&) { throw_if_stopped(); }));
  }
  auto from = drawn.begin();
  for (std::uint64_t i = next_; i < end; ++i) {
    std::optional<dataloader::Image>& picture = pictures[i - next_];
    if (!picture) {
      picture = std::move(*from++);
      if (!options_.folder.empty()) write(i, *picture);
    }
    ready_.push_back(image_of(i, std::move(*picture)));
  }
  next_ = end;
}

std::optional<SourceImage> GeneratedImages::next() {
  if (ready_.empty() && next_ < options_.samples) draw_batch();
  if (ready_.empty()) return std::nullopt;
  SourceImage image = std::move(ready_.front());
  ready_.pop_front();
  return image;
}

}  // namespace crescendo::pipelines
