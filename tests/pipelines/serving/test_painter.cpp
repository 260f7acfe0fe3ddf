#include "tests/pipelines/serving/test_painter.h"

#include "dataloader/encode_image.h"

namespace crescendo::pipelines {

namespace {

dataloader::Image plain(std::int64_t width, std::int64_t height, std::uint8_t shade) {
  return {width, height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3), shade)};
}

}  // namespace

std::vector<std::byte> plain_png(std::int64_t width, std::int64_t height, std::uint8_t shade) {
  return dataloader::encode_png(plain(width, height, shade));
}

TestPainter::TestPainter(const std::string& conditioning) {
  model_ = {.name = "tiny", .path = "models/tiny", .conditioning = conditioning};
  model_.width = model_.height = 64;
  model_.steps = 4;
  model_.sampler = "euler";
  if (conditioning == "class") model_.class_names = {"birds", "cups"};
}

Painter TestPainter::painter() {
  return {model_,
          [](const PaintRequest& request) {
            if (request.prompt == "impossible") throw UserError("prompt: impossible");
          },
          [this](const auto& request, const auto& on_step, const auto& take) {
            paint(request, on_step, take);
          }};
}

void TestPainter::paint(const PaintRequest& request,
                        const std::function<void(const PaintStep&)>& on_step,
                        const std::function<void(PaintedPicture)>& take) {
  {
    const std::lock_guard lock(mutex_);
    seen_.push_back(request);
  }
  if (request.prompt == "broken") throw std::runtime_error("out of memory");
  for (std::int64_t picture = 0; picture < request.count; ++picture) {
    const std::uint64_t seed = request.seed + static_cast<std::uint64_t>(picture);
    try {
      for (std::int64_t step = 1; step <= request.steps; ++step) {
        wait_for_turn();
        on_step({picture * request.steps + step, request.count * request.steps,
                 [&] { return plain(8, 8, static_cast<std::uint8_t>(step)); }});
      }
    } catch (const PicturesSkipped&) {
      continue;
    }
    take({plain_png(request.width, request.height, static_cast<std::uint8_t>(seed)), seed,
          request.prompt + "\nSteps: " + std::to_string(request.steps)});
  }
}

void TestPainter::wait_for_turn() {
  std::unique_lock lock(mutex_);
  is_waiting_ = is_held_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !is_held_ || allowed_ > 0; });
  is_waiting_ = false;
  if (is_held_) --allowed_;
  changed_.wait_for(lock, step_time_, [] { return false; });
  ++steps_done_;
}

void TestPainter::set_step_time(std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex_);
  step_time_ = time;
}

void TestPainter::hold() {
  const std::lock_guard lock(mutex_);
  is_held_ = true;
}

void TestPainter::step() {
  const std::lock_guard lock(mutex_);
  ++allowed_;
  is_waiting_ = false;
  changed_.notify_all();
}

void TestPainter::release() {
  const std::lock_guard lock(mutex_);
  is_held_ = false;
  changed_.notify_all();
}

void TestPainter::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_waiting_; });
}

std::vector<PaintRequest> TestPainter::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::int64_t TestPainter::steps_done() const {
  const std::lock_guard lock(mutex_);
  return steps_done_;
}

}  // namespace crescendo::pipelines
