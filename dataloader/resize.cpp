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
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double stretch = std::max(scale, 1.0);
  const double support = kernel.support * stretch;
  const double center = (static_cast<double>(position) + 0.5) * scale;
  Taps taps;
  taps.first = std::max<std::int64_t>(static_cast<std::int64_t>(center - support + 0.5), 0);
  const std::int64_t end = std::min(static_cast<std::int64_t>(center + support + 0.5), input);
  std::vector<double> weights;
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

/// Taps of the output positions [begin, begin + count).
std::vector<Taps> taps_of(std::int64_t begin, std::int64_t count, std::int64_t input,
                          std::int64_t output, const Kernel& kernel) {
  std::vector<Taps> taps;
  taps.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    taps.push_back(taps_at(begin + i, input, output, kernel));
  }
  return taps;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

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
void interleave_rows(const Image& image, std::int64_t first, std::int64_t last,
                     std::vector<std::uint8_t>& lanes) {
  for (std::int64_t row = 0; row < kRows; ++row) {
    const std::int64_t y = std::min(first + row, last - 1);
    const std::uint8_t* pixel = image.pixels.data() + y * image.width * 3;
    std::uint8_t* out = lanes.data() + row * 4;
    // Four bytes are one move; the fourth is the next pixel's, and not there after the last one.
    for (std::int64_t x = 0; x + 1 < image.width; ++x, pixel += 3, out += kLanes) {
      std::memcpy(out, pixel, 4);
    }
    std::memcpy(out, pixel, 3);
  }
}

/// kRows output rows of the horizontal pass, `stride` bytes each, of which `rows` are wanted.
CRESCENDO_VECTORIZED
void resample_rows(const std::vector<std::uint8_t>& lanes, const std::vector<Taps>& taps,
                   std::int64_t rows, std::size_t stride, std::uint8_t* out) {
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
    for (std::int64_t row = 0; row < rows; ++row) {
      std::memcpy(out + static_cast<std::size_t>(row) * stride, bytes.data() + row * 4, 3);
    }
    out += 3;
  }
}

/// One output row of the vertical pass: `in` is the first of the rows that the taps weigh.
CRESCENDO_VECTORIZED
void blend_rows(const std::uint8_t* in, std::size_t stride, const Taps& tap,
                std::vector<std::int32_t>& sums, std::uint8_t* out) {
  std::ranges::fill(sums, kHalf);
  for (const std::int32_t weight : tap.weights) {
    for (std::size_t i = 0; i < stride; ++i) sums[i] += weight * in[i];
    in += stride;
  }
  for (std::size_t i = 0; i < stride; ++i) out[i] = to_byte(sums[i]);
}

Image cut(const Image& image, const Window& window) {
  const std::int64_t stride = window.size.width * 3;
  Image result{window.size.width, window.size.height,
               std::vector<std::uint8_t>(static_cast<std::size_t>(stride * window.size.height))};
  for (std::int64_t y = 0; y < window.size.height; ++y) {
    const std::int64_t from = ((window.top + y) * image.width + window.left) * 3;
    std::memcpy(result.pixels.data() + y * stride, image.pixels.data() + from,
                static_cast<std::size_t>(stride));
  }
  return result;
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
  // Every filter leaves the pixels as they are then.
  if (scaled.width == image.width && scaled.height == image.height) return cut(image, window);
  const Kernel kernel = kernel_of(filter);
  const auto columns = taps_of(window.left, window.size.width, image.width, scaled.width, kernel);
  const auto rows = taps_of(window.top, window.size.height, image.height, scaled.height, kernel);
  std::int64_t first_row = image.height;
  std::int64_t last_row = 0;
  for (const Taps& tap : rows) {
    first_row = std::min(first_row, tap.first);
    last_row = std::max(last_row, tap.first + static_cast<std::int64_t>(tap.weights.size()));
  }
  const std::size_t stride = static_cast<std::size_t>(window.size.width) * 3;
  std::vector<std::uint8_t> narrowed(stride * static_cast<std::size_t>(last_row - first_row));
  std::vector<std::uint8_t> lanes(static_cast<std::size_t>(image.width * kLanes));
  for (std::int64_t y = first_row; y < last_row; y += kRows) {
    interleave_rows(image, y, last_row, lanes);
    resample_rows(lanes, columns, std::min(kRows, last_row - y), stride,
                  narrowed.data() + static_cast<std::size_t>(y - first_row) * stride);
  }
  Image result{window.size.width, window.size.height,
               std::vector<std::uint8_t>(stride * rows.size())};
  std::vector<std::int32_t> sums(stride);
  for (std::size_t y = 0; y < rows.size(); ++y) {
    const auto offset = static_cast<std::size_t>(rows[y].first - first_row);
    blend_rows(narrowed.data() + offset * stride, stride, rows[y], sums,
               result.pixels.data() + y * stride);
  }
  return result;
}

}  // namespace crescendo::dataloader
