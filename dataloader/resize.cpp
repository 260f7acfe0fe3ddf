#include "dataloader/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <numbers>
#include <vector>

#include "core/error.h"

namespace crescendo::dataloader {

namespace {

constexpr int kPrecision = 22;  // bits after the point of a weight

double bilinear(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

/// Keys' cubic convolution with a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  return std::sin(x * std::numbers::pi) / (x * std::numbers::pi);
}

double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Kernel {
  double (*weight)(double);
  double support;
};

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::kBilinear:
      return {bilinear, 1.0};
    case Filter::kBicubic:
      return {bicubic, 2.0};
    case Filter::kLanczos:
      break;
  }
  return {lanczos, 3.0};
}

/// Which input pixels make one output pixel, and with what weights.
struct Taps {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

Taps taps_at(std::int64_t position, std::int64_t input, std::int64_t output, const Kernel& kernel) {
  if (input == output) return {position, {1 << kPrecision}};
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double stretch = std::max(scale, 1.0);
  const double support = kernel.support * stretch;
  const double center = (static_cast<double>(position) + 0.5) * scale;
  Taps taps;
  taps.first = std::max<std::int64_t>(static_cast<std::int64_t>(center - support + 0.5), 0);
  const std::int64_t end = std::min(static_cast<std::int64_t>(center + support + 0.5), input);
  std::vector<double> weights;
  weights.reserve(static_cast<std::size_t>(end - taps.first));
  taps.weights.reserve(weights.capacity());
  double sum = 0;
  for (std::int64_t i = taps.first; i < end; ++i) {
    weights.push_back(kernel.weight((static_cast<double>(i) - center + 0.5) * (1.0 / stretch)));
    sum += weights.back();
  }
  for (const double weight : weights) {
    const double fixed = (sum != 0 ? weight / sum : weight) * (1 << kPrecision);
    taps.weights.push_back(static_cast<std::int32_t>(fixed + (fixed < 0 ? -0.5 : 0.5)));
  }
  return taps;
}

/// Taps of the output positions [begin, begin + count), for a source that begins at `origin`.
std::vector<Taps> taps_of(std::int64_t begin, std::int64_t count, std::int64_t input,
                          std::int64_t output, const Kernel& kernel, std::int64_t origin) {
  std::vector<Taps> taps;
  taps.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    taps.push_back(taps_at(begin + i, input, output, kernel));
    taps.back().first -= origin;
  }
  return taps;
}

/// Pixels somewhere in an image, rows `stride` bytes apart.
struct View {
  const std::uint8_t* pixels;
  Size size;
  std::int64_t stride;
};

View view_of(const Image& image, const Window& window) {
  const std::int64_t stride = image.width * 3;
  return {image.pixels.data() + window.top * stride + window.left * 3, window.size, stride};
}

View view_of(const Image& image) { return view_of(image, {0, 0, {image.width, image.height}}); }

Image image_of_size(Size size) {
  return {size.width, size.height,
          std::vector<std::uint8_t>(static_cast<std::size_t>(size.width * size.height * 3))};
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

Image copy(const View& view) {
  Image result = image_of_size(view.size);
  const std::int64_t bytes = view.size.width * 3;
  for (std::int64_t y = 0; y < view.size.height; ++y) {
    std::copy_n(view.pixels + y * view.stride, bytes, result.pixels.data() + y * bytes);
  }
  return result;
}

// Compiled for each generation of vector units; the widest that the machine has is chosen at start.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CRESCENDO_VECTORIZED \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CRESCENDO_VECTORIZED
#endif

// The horizontal pass works on four rows at a time, pixel beside pixel, each of R, G, B and one
// value that is not used, so that one instruction weighs them all.
constexpr std::int64_t kRows = 4;
constexpr std::int64_t kLanes = 4 * kRows;

/// The rows from `first` on beside each other; rows past the last repeat it.
void interleave_rows(const View& view, std::int64_t first, std::vector<std::uint8_t>& lanes) {
  for (std::int64_t row = 0; row < kRows; ++row) {
    const std::int64_t y = std::min(first + row, view.size.height - 1);
    const std::uint8_t* pixel = view.pixels + y * view.stride;
    std::uint8_t* out = lanes.data() + row * 4;
    // Four bytes are one move; the fourth is the next pixel's, and not there after the last one.
    for (std::int64_t x = 0; x + 1 < view.size.width; ++x, pixel += 3, out += kLanes) {
      std::memcpy(out, pixel, 4);
    }
    std::memcpy(out, pixel, 3);
  }
}

/// kRows rows of the horizontal pass, `stride` bytes apart; a byte behind each is written over.
CRESCENDO_VECTORIZED
void blend_pixels(const std::vector<std::uint8_t>& lanes, const std::vector<Taps>& taps,
                  std::int64_t stride, std::uint8_t* out) {
  for (const Taps& tap : taps) {
    std::array<std::int32_t, kLanes> sums;
    sums.fill(kHalf);
    const std::uint8_t* pixel = lanes.data() + tap.first * kLanes;
    for (const std::int32_t weight : tap.weights) {
      for (std::size_t i = 0; i < kLanes; ++i) sums[i] += weight * pixel[i];
      pixel += kLanes;
    }
    std::array<std::uint8_t, kLanes> bytes;
    for (std::size_t i = 0; i < kLanes; ++i) bytes[i] = to_byte(sums[i]);
    // Again four bytes in one move, the last of which the next pixel covers.
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::memcpy(out + row * stride, bytes.data() + row * 4, 4);
    }
    out += 3;
  }
}

Image horizontal_pass(const View& view, const std::vector<Taps>& taps) {
  Image result = image_of_size({static_cast<std::int64_t>(taps.size()), view.size.height});
  const std::int64_t bytes = result.width * 3;
  std::vector<std::uint8_t> lanes(static_cast<std::size_t>(view.size.width * kLanes));
  std::vector<std::uint8_t> strip(static_cast<std::size_t>(kRows * (bytes + 1)));
  for (std::int64_t y = 0; y < view.size.height; y += kRows) {
    interleave_rows(view, y, lanes);
    blend_pixels(lanes, taps, bytes + 1, strip.data());
    for (std::int64_t row = 0; row < std::min(kRows, view.size.height - y); ++row) {
      std::copy_n(strip.data() + row * (bytes + 1), bytes,
                  result.pixels.data() + (y + row) * bytes);
    }
  }
  return result;
}

/// `count` bytes of a row of the vertical pass, a number known to the compiler at a time, so that
/// their sums stay in registers; `in` is of the first of the rows that the taps weigh.
CRESCENDO_VECTORIZED
void blend_rows(const std::uint8_t* in, std::int64_t stride, const Taps& tap, std::int64_t count,
                std::uint8_t* out) {
  constexpr std::int64_t kBlock = 64;
  const auto blend = [&](std::int64_t first, std::int64_t length) {
    std::array<std::int32_t, kBlock> sums;
    sums.fill(kHalf);
    const std::uint8_t* byte = in + first;
    for (const std::int32_t weight : tap.weights) {
      for (std::int64_t i = 0; i < length; ++i) sums[i] += weight * byte[i];
      byte += stride;
    }
    for (std::int64_t i = 0; i < length; ++i) out[first + i] = to_byte(sums[i]);
  };
  std::int64_t first = 0;
  for (; first + kBlock <= count; first += kBlock) blend(first, kBlock);
  if (first < count) blend(first, count - first);
}

Image vertical_pass(const View& view, const std::vector<Taps>& taps) {
  Image result = image_of_size({view.size.width, static_cast<std::int64_t>(taps.size())});
  const std::int64_t bytes = result.width * 3;
  std::uint8_t* out = result.pixels.data();
  for (const Taps& tap : taps) {
    blend_rows(view.pixels + tap.first * view.stride, view.stride, tap, bytes, out);
    out += bytes;
  }
  return result;
}

/// Resizes an image of size `whole`, of which `image` has the pixels from (left, top) on.
Image resample(const Image& image, std::int64_t left, std::int64_t top, Size whole, Size scaled,
               const Window& window, Filter filter) {
  const Window source = source_window(whole, scaled, window, filter);
  const View view = view_of(image, {source.left - left, source.top - top, source.size});
  if (scaled == whole) return copy(view);
  const Kernel kernel = kernel_of(filter);
  const auto columns =
      taps_of(window.left, window.size.width, whole.width, scaled.width, kernel, source.left);
  const auto rows =
      taps_of(window.top, window.size.height, whole.height, scaled.height, kernel, source.top);
  const std::int64_t fewer_rows = whole.height - scaled.height;
  if (fewer_rows > 0 && fewer_rows > 2 * (whole.width - scaled.width)) {
    return horizontal_pass(view_of(vertical_pass(view, rows)), columns);
  }
  return vertical_pass(view_of(horizontal_pass(view, columns)), rows);
}

}  // namespace

Filter parse_filter(std::string_view name, std::string_view where) {
  if (name == "bilinear") return Filter::kBilinear;
  if (name == "bicubic") return Filter::kBicubic;
  if (name == "lanczos") return Filter::kLanczos;
  throw UserError("{}: expected bilinear, bicubic or lanczos, found '{}'", where, name);
}

Size short_side_size(Size image, std::int64_t resolution) {
  if (image.width <= image.height) return {resolution, resolution * image.height / image.width};
  return {resolution * image.width / image.height, resolution};
}

Window center_window(Size scaled, Size cut) {
  // nearbyint: Python rounds halves to even.
  const auto middle = [](std::int64_t side, std::int64_t part) {
    return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(side - part) / 2.0));
  };
  return {middle(scaled.width, cut.width), middle(scaled.height, cut.height), cut};
}

Image resize(const Image& image, Size scaled, const Window& window, Filter filter) {
  return resample(image, 0, 0, {image.width, image.height}, scaled, window, filter);
}

Image resize(const ImagePart& part, Size scaled, const Window& window, Filter filter) {
  return resample(part.image, part.left, part.top, part.whole, scaled, window, filter);
}

Window source_window(Size whole, Size scaled, const Window& window, Filter filter) {
  const Kernel kernel = kernel_of(filter);
  // The first source pixel of an output position, and one behind the last of another.
  const auto first = [&](std::int64_t position, std::int64_t input, std::int64_t output) {
    return taps_at(position, input, output, kernel).first;
  };
  const auto end = [&](std::int64_t position, std::int64_t input, std::int64_t output) {
    const Taps taps = taps_at(position, input, output, kernel);
    return taps.first + static_cast<std::int64_t>(taps.weights.size());
  };
  const std::int64_t left = first(window.left, whole.width, scaled.width);
  const std::int64_t top = first(window.top, whole.height, scaled.height);
  return {left,
          top,
          {end(window.left + window.size.width - 1, whole.width, scaled.width) - left,
           end(window.top + window.size.height - 1, whole.height, scaled.height) - top}};
}

}  // namespace crescendo::dataloader
