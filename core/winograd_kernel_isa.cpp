#include "core/simd.h"
#include "core/winograd_kernel.h"

namespace crescendo::CRESCENDO_ISA {

extern const WinogradKernel kWinograd;

namespace {

constexpr std::int64_t kTile = 2;   // a side of a tile's outputs
constexpr std::int64_t kPatch = 4;  // of its inputs
constexpr std::int64_t kTaps = 3;   // of the weights

static_assert(kWinogradChannels % kWidth == 0);

// The transforms of one dimension; those of two apply them to the columns and then to the rows.

void transform_four(const Lanes (&d)[kPatch], Lanes (&to)[kPatch]) {
  to[0] = d[0] - d[2];
  to[1] = d[1] + d[2];
  to[2] = d[2] - d[1];
  to[3] = d[1] - d[3];
}

void transform_to_two(const Lanes (&m)[kPatch], Lanes (&to)[kTile]) {
  to[0] = m[0] + m[1] + m[2];
  to[1] = m[1] - m[2] - m[3];
}

void transform_two(const Lanes (&y)[kTile], Lanes (&to)[kPatch]) {
  to[0] = y[0];
  to[1] = y[0] + y[1];
  to[2] = y[0] - y[1];
  to[3] = -y[1];
}

void transform_taps(const Lanes (&g)[kTaps], Lanes (&to)[kPatch]) {
  const Lanes sum = (g[0] + g[2]) * 0.5F;
  const Lanes middle = g[1] * 0.5F;
  to[0] = g[0];
  to[1] = sum + middle;
  to[2] = sum - middle;
  to[3] = g[2];
}

void transform_to_taps(const Lanes (&m)[kPatch], Lanes (&to)[kTaps]) {
  const Lanes sum = (m[1] + m[2]) * 0.5F;
  to[0] = m[0] + sum;
  to[1] = (m[1] - m[2]) * 0.5F;
  to[2] = sum + m[3];
}

/// Applies a transform from kFrom numbers to kTo to the columns and then to the rows.
template <int kFrom, int kTo>
void transform(void (*one)(const Lanes (&)[kFrom], Lanes (&)[kTo]),
               const Lanes (&from)[kFrom][kFrom], Lanes (&to)[kTo][kTo]) {
  Lanes half[kFrom][kTo];  // by column of `from`
  for (int column = 0; column < kFrom; ++column) {
    Lanes line[kFrom];
    for (int row = 0; row < kFrom; ++row) line[row] = from[row][column];
    one(line, half[column]);
  }
  for (int row = 0; row < kTo; ++row) {
    Lanes line[kFrom];
    for (int column = 0; column < kFrom; ++column) line[column] = half[column][row];
    one(line, to[row]);
  }
}

/// The pixels [kSide, kSide] of the images from (top, left), each its channels or null outside.
template <int kSide, typename Number>
struct Window {
  Number* pixels[kSide][kSide];

  Window(const WinogradImages& shape, Number* sample, std::int64_t top, std::int64_t left) {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const std::int64_t row = top + y;
        const std::int64_t column = left + x;
        const bool inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
        pixels[y][x] = inside ? sample + (row * shape.width + column) * shape.channels : nullptr;
      }
    }
  }

  void load(std::int64_t channel, Lanes (&to)[kSide][kSide]) const {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        to[y][x] = pixels[y][x] != nullptr ? CRESCENDO_ISA::load(pixels[y][x] + channel) : Lanes{};
      }
    }
  }

  /// Adds what lies `distance` behind the pixels.
  void add(std::int64_t distance, std::int64_t channel, Lanes (&to)[kSide][kSide]) const {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        if (pixels[y][x] == nullptr) continue;
        to[y][x] += CRESCENDO_ISA::load(pixels[y][x] + distance + channel);
      }
    }
  }

  void store(const Lanes (&from)[kSide][kSide], std::int64_t channel) const {
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        if (pixels[y][x] != nullptr) CRESCENDO_ISA::store(from[y][x], pixels[y][x] + channel);
      }
    }
  }
};

/// Calls `work(number in the range, window)`, with windows `reach` pixels before each tile.
template <int kSide, typename Number, typename Work>
void for_windows(const WinogradImages& shape, Number* images, TileRange tiles, std::int64_t reach,
                 const Work& work) {
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    const std::int64_t column = tile % shape.tiles_wide();
    const std::int64_t row = tile / shape.tiles_wide() % shape.tiles_high();
    const std::int64_t sample = tile / (shape.tiles_wide() * shape.tiles_high());
    Number* const first = images + sample * shape.height * shape.width * shape.channels;
    work(tile - tiles.begin,
         Window<kSide, Number>(shape, first, kTile * row - reach, kTile * column - reach));
  }
}

void store_points(const Lanes (&points)[kPatch][kPatch], const WinogradMatrices& to,
                  std::int64_t row, std::int64_t column) {
  for (int y = 0; y < kPatch; ++y) {
    for (int x = 0; x < kPatch; ++x) {
      store(points[y][x], to.point(y * kPatch + x) + row * to.columns + column);
    }
  }
}

void load_points(const WinogradMatrices& from, std::int64_t row, std::int64_t column,
                 Lanes (&points)[kPatch][kPatch]) {
  for (int y = 0; y < kPatch; ++y) {
    for (int x = 0; x < kPatch; ++x) {
      points[y][x] = load(from.point(y * kPatch + x) + row * from.columns + column);
    }
  }
}

void transform_input(const WinogradImages& shape, const float* images, TileRange tiles,
                     const WinogradMatrices& to) {
  for_windows<kPatch>(shape, images, tiles, 1, [&](std::int64_t row, auto window) {
    for (std::int64_t channel = 0; channel < to.columns; channel += kWidth) {
      Lanes patch[kPatch][kPatch];
      Lanes points[kPatch][kPatch];
      window.load(channel, patch);
      transform(transform_four, patch, points);
      store_points(points, to, row, channel);
    }
  });
}

void transform_gradient(const WinogradImages& shape, const float* images, TileRange tiles,
                        const WinogradMatrices& to) {
  for_windows<kTile>(shape, images, tiles, 0, [&](std::int64_t row, auto window) {
    for (std::int64_t channel = 0; channel < to.columns; channel += kWidth) {
      Lanes tile[kTile][kTile];
      Lanes points[kPatch][kPatch];
      window.load(channel, tile);
      transform(transform_two, tile, points);
      store_points(points, to, row, channel);
    }
  });
}

void transform_output(const WinogradImages& shape, const WinogradMatrices& from,
                      const WinogradAddends& addends, TileRange tiles, float* images) {
  for_windows<kTile>(shape, images, tiles, 0, [&](std::int64_t row, auto window) {
    for (std::int64_t channel = 0; channel < from.columns; channel += kWidth) {
      Lanes points[kPatch][kPatch];
      Lanes tile[kTile][kTile];
      load_points(from, row, channel, points);
      transform(transform_to_two, points, tile);
      if (addends.bias != nullptr) {
        const Lanes added = load(addends.bias + channel);
        for (auto& line : tile) {
          for (Lanes& pixel : line) pixel += added;
        }
      }
      if (addends.images != nullptr) window.add(addends.images - images, channel, tile);
      window.store(tile, channel);
    }
  });
}

/// Whether the taps of a filter lie side by side: the first in front (a step of 1), or the last
/// (-1).
bool are_in_line(const WinogradWeights& weights, std::int64_t step) {
  return weights.column_step == step && weights.row_step == kTaps * step;
}

constexpr int kTapCount = kTaps * kTaps;
constexpr int kTapsOfVector = kTapCount < kWidth ? kTapCount : kWidth;

/// The taps of kWidth neighbouring channels out, as lanes.
void load_taps(const WinogradWeights& weights, std::int64_t in, std::int64_t out,
               Lanes (&taps)[kTaps][kTaps]) {
  const float* const first = weights.data + out * weights.out_step + in * weights.in_step;
  for (int y = 0; y < kTaps; ++y) {
    for (int x = 0; x < kTaps; ++x) {
      const float* const tap = first + y * weights.row_step + x * weights.column_step;
      for (std::int64_t i = 0; i < kWidth; ++i) taps[y][x][i] = tap[i * weights.out_step];
    }
  }
}

/// The same of filters that lie side by side, too, the last tap of each in front. Where they are
/// far apart this gains nothing: memory takes the time.
void load_turned_taps(const WinogradWeights& weights, std::int64_t in, std::int64_t out,
                      Lanes (&taps)[kTaps][kTaps]) {
  const float* const first = weights.data + out * weights.out_step + in * weights.in_step;
  const float* const last = first - (kTapCount - 1);
  Lanes filters[kWidth];
  for (int i = 0; i < kWidth; ++i) filters[i] = load(last + i * kTapCount, kTapsOfVector);
  transpose(filters);
#pragma GCC unroll 9
  for (int tap = 0; tap < kTapCount; ++tap) {
    const int number = kTapCount - 1 - tap;
    Lanes& to = taps[tap / kTaps][tap % kTaps];
    if (number < kTapsOfVector) {
      to = filters[number];
    } else {
      for (std::int64_t i = 0; i < kWidth; ++i) to[i] = last[i * kTapCount + number];
    }
  }
}

void store_taps(const Lanes (&taps)[kTaps][kTaps], const WinogradWeights& weights, std::int64_t in,
                std::int64_t out) {
  float* const first = weights.data + out * weights.out_step + in * weights.in_step;
  const auto scatter = [&](int number) {
    const Lanes& from = taps[number / kTaps][number % kTaps];
    float* const tap =
        first + number / kTaps * weights.row_step + number % kTaps * weights.column_step;
    for (std::int64_t i = 0; i < kWidth; ++i) tap[i * weights.out_step] = from[i];
  };
  if (!are_in_line(weights, 1)) {
    for (int number = 0; number < kTapCount; ++number) scatter(number);
    return;
  }
  Lanes filters[kWidth] = {};
#pragma GCC unroll 9
  for (int number = 0; number < kTapsOfVector; ++number) {
    filters[number] = taps[number / kTaps][number % kTaps];
  }
  transpose(filters);
  for (std::int64_t i = 0; i < kWidth; ++i) {
    store(filters[i], first + i * weights.out_step, kTapsOfVector);
  }
  for (int number = kTapsOfVector; number < kTapCount; ++number) scatter(number);
}

/// Calls `work(in, out)` for those rows and all vectors of channels out, in blocks: neighbours of
/// one are far apart in the weights, those of the other in the matrices, and a page that was
/// touched should be used.
template <typename Work>
void for_filters(RowRange rows, std::int64_t columns, const Work& work) {
  constexpr std::int64_t kRun = 16;
  constexpr std::int64_t kColumnRun = 64;
  for (std::int64_t row = rows.begin; row < rows.end; row += kRun) {
    const std::int64_t last_row = smaller(row + kRun, rows.end);
    for (std::int64_t column = 0; column < columns; column += kColumnRun) {
      const std::int64_t last_column = smaller(column + kColumnRun, columns);
      for (std::int64_t in = row; in < last_row; ++in) {
        for (std::int64_t out = column; out < last_column; out += kWidth) work(in, out);
      }
    }
  }
}

void transform_weights(const WinogradWeights& weights, RowRange rows, const WinogradMatrices& to) {
  const bool are_turned = are_in_line(weights, -1) && weights.out_step == kTapCount;
  for_filters(rows, to.columns, [&](std::int64_t in, std::int64_t out) {
    Lanes taps[kTaps][kTaps];
    Lanes points[kPatch][kPatch];
    are_turned ? load_turned_taps(weights, in, out, taps) : load_taps(weights, in, out, taps);
    transform(transform_taps, taps, points);
    store_points(points, to, in, out);
  });
}

void transform_weight_gradient(const WinogradMatrices& from, RowRange rows,
                               const WinogradWeights& to) {
  for_filters(rows, from.columns, [&](std::int64_t in, std::int64_t out) {
    Lanes points[kPatch][kPatch];
    Lanes taps[kTaps][kTaps];
    load_points(from, in, out, points);
    transform(transform_to_taps, points, taps);
    store_taps(taps, to, in, out);
  });
}

/// Rows and vectors of a product that one pass over the depth keeps in registers.
constexpr int kRows = 6;
#ifdef __AVX512F__
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;
#endif

/// c (+)= a b. A number of a is at row * row_step + depth * depth_step; rows of b and c are
/// `columns` apart.
struct Product {
  const float* a = nullptr;
  std::int64_t row_step = 0;
  std::int64_t depth_step = 0;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
};

template <bool kAdd, int kRowCount, int kVectorCount>
void multiply_tile(const Product& product, std::int64_t row, std::int64_t column) {
  const float* a = product.a + row * product.row_step;
  const float* b = product.b + column;
  float* const c = product.c + row * product.columns + column;
  Lanes sums[kRowCount][kVectorCount];
  for (int r = 0; r < kRowCount; ++r) {
    for (int v = 0; v < kVectorCount; ++v) {
      sums[r][v] = kAdd ? load(c + r * product.columns + v * kWidth) : Lanes{};
    }
  }
  for (std::int64_t k = 0; k < product.depth; ++k) {
    Lanes of_b[kVectorCount];
    for (int v = 0; v < kVectorCount; ++v) of_b[v] = load(b + v * kWidth);
    for (int r = 0; r < kRowCount; ++r) {
      const float of_a = a[r * product.row_step];
      for (int v = 0; v < kVectorCount; ++v) sums[r][v] += of_a * of_b[v];
    }
    a += product.depth_step;
    b += product.columns;
  }
  for (int r = 0; r < kRowCount; ++r) {
    for (int v = 0; v < kVectorCount; ++v) {
      store(sums[r][v], c + r * product.columns + v * kWidth);
    }
  }
}

/// The rows from `row` on: as many at once as registers hold, and the rest in one tile more.
template <bool kAdd, int kVectorCount, int kRowCount = kRows>
void multiply_rows(const Product& product, std::int64_t row, std::int64_t column) {
  for (; row + kRowCount <= product.rows; row += kRowCount) {
    multiply_tile<kAdd, kRowCount, kVectorCount>(product, row, column);
  }
  if constexpr (kRowCount > 1) {
    if (row < product.rows) multiply_rows<kAdd, kVectorCount, kRowCount - 1>(product, row, column);
  }
}

template <bool kAdd, int kVectorCount = kVectors>
void multiply_columns(const Product& product, std::int64_t column, std::int64_t vectors) {
  if constexpr (kVectorCount > 1) {
    if (vectors < kVectorCount) {
      multiply_columns<kAdd, kVectorCount - 1>(product, column, vectors);
      return;
    }
  }
  multiply_rows<kAdd, kVectorCount>(product, 0, column);
}

/// In panels of columns as equal as may be: a narrow one leaves most of the registers unused.
template <bool kAdd>
void multiply_all(const Product& product) {
  const std::int64_t vectors = product.columns / kWidth;
  const std::int64_t panels = (vectors + kVectors - 1) / kVectors;
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t begin = panel * vectors / panels;
    const std::int64_t end = (panel + 1) * vectors / panels;
    multiply_columns<kAdd>(product, begin * kWidth, end - begin);
  }
}

void multiply(const WinogradMatrices& left, const WinogradMatrices& right,
              const WinogradMatrices& to, std::int64_t point) {
  multiply_all<false>({.a = left.point(point),
                       .row_step = left.columns,
                       .depth_step = 1,
                       .b = right.point(point),
                       .c = to.point(point),
                       .rows = left.rows,
                       .columns = right.columns,
                       .depth = left.columns});
}

void multiply_transposed(const WinogradMatrices& left, const WinogradMatrices& right,
                         const WinogradMatrices& to, std::int64_t point, RowRange rows, bool adds) {
  const auto multiply_rows = adds ? multiply_all<true> : multiply_all<false>;
  multiply_rows({.a = left.point(point) + rows.begin,
                 .row_step = 1,
                 .depth_step = left.columns,
                 .b = right.point(point),
                 .c = to.point(point) + rows.begin * to.columns,
                 .rows = rows.end - rows.begin,
                 .columns = right.columns,
                 .depth = left.rows});
}

}  // namespace

const WinogradKernel kWinograd{.transform_weights = transform_weights,
                               .transform_input = transform_input,
                               .multiply = multiply,
                               .transform_output = transform_output,
                               .transform_gradient = transform_gradient,
                               .multiply_transposed = multiply_transposed,
                               .transform_weight_gradient = transform_weight_gradient};

}  // namespace crescendo::CRESCENDO_ISA
