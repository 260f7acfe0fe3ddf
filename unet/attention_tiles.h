#pragma once

#include <cstdint>

#include "core/simd.h"
#include "unet/attention_kernel.h"

// What the attention kernel is made of: rows loaded as lanes, and tiles of their products and sums.
namespace crescendo::unet::CRESCENDO_ISA {

using namespace crescendo::CRESCENDO_ISA;  // NOLINT(google-build-using-namespace): the vectors

/// Rows or columns at a time; their sums and what is added to them leave few registers unused.
#ifdef __AVX512F__
constexpr int kTile = 8;
#else
constexpr int kTile = 6;
#endif
constexpr int kVectors = 2;
constexpr std::int64_t kLanes = kVectors * kWidth;

/// Calls `work<size>(first)` for tiles of kSize, and for smaller ones in the end.
template <int kSize, typename Work>
void for_tiles(std::int64_t count, const Work& work, std::int64_t first = 0) {
  for (; first + kSize <= count; first += kSize) work.template operator()<kSize>(first);
  if constexpr (kSize > 1) for_tiles<kSize / 2>(count, work, first);
}

/// How many of the lanes from `first` on are rows.
inline std::int64_t used(const Rows& rows, std::int64_t first) {
  return smaller(kLanes, rows.count - first);
}

/// Vectors that hold a row as it is.
inline std::int64_t vectors_of(std::int64_t width) { return (width + kWidth - 1) / kWidth; }

/// Rows first, first + 1, ... as lanes: [width][kVectors]; 0 where there is no row.
inline void load_lanes(const Rows& rows, std::int64_t width, std::int64_t first, Lanes* lanes) {
  auto* target = reinterpret_cast<float*>(lanes);
  const std::int64_t count = used(rows, first);
  for (std::int64_t d = 0; d < width; ++d) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      target[d * kLanes + lane] = lane < count ? rows.data[(first + lane) * rows.stride + d] : 0.0F;
    }
  }
}

/// The inverse: lanes [width][kVectors], times `factor`, to the first `count` rows at `target`.
inline void store_lanes(const Lanes* lanes, std::int64_t width, std::int64_t count, float factor,
                        float* target, std::int64_t stride) {
  const auto* source = reinterpret_cast<const float*>(lanes);
  for (std::int64_t lane = 0; lane < count; ++lane) {
    for (std::int64_t d = 0; d < width; ++d) {
      target[lane * stride + d] = factor * source[d * kLanes + lane];
    }
  }
}

/// Numbers, one a lane, for the lanes that are rows; `otherwise` for the others.
inline void load_numbers(const float* numbers, std::int64_t count, float otherwise, Lanes* lanes) {
  auto* target = reinterpret_cast<float*>(lanes);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    target[lane] = lane < count ? numbers[lane] : otherwise;
  }
}

/// Rows first, first + 1, ... as they are: [kLanes][vectors_of(width)]; 0 where there is none.
/// What lies behind the width stays as it is.
inline void load_rows(const Rows& rows, std::int64_t width, std::int64_t first, Lanes* to) {
  const std::int64_t stride = vectors_of(width) * kWidth;
  const std::int64_t count = used(rows, first);
  auto* target = reinterpret_cast<float*>(to);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    const float* const from = rows.data + (first + lane) * rows.stride;
    for (std::int64_t d = 0; d < width; ++d) {
      target[lane * stride + d] = lane < count ? from[d] : 0.0F;
    }
  }
}

/// The inverse, times `factor`.
inline void store_rows(const Lanes* rows, std::int64_t count, std::int64_t width, float factor,
                       float* to, std::int64_t stride) {
  const std::int64_t vectors = vectors_of(width);
  for (std::int64_t row = 0; row < count; ++row) {
    for (std::int64_t v = 0; v < vectors; ++v) {
      store(rows[row * vectors + v] * factor, to + row * stride + v * kWidth,
            smaller(kWidth, width - v * kWidth));
    }
  }
}

/// Some rows times lanes [width][kVectors].
template <int kRows>
struct ProductTile {
  Lanes sums[kRows][kVectors] = {};

  ProductTile(const Rows& rows, std::int64_t first, std::int64_t width, const Lanes* lanes) {
    const float* const from = rows.data + first * rows.stride;
    for (std::int64_t d = 0; d < width; ++d) {
      for (int row = 0; row < kRows; ++row) {
        for (int v = 0; v < kVectors; ++v) {
          sums[row][v] += from[row * rows.stride + d] * lanes[d * kVectors + v];
        }
      }
    }
  }
};

template <int kColumns>
void weighted_sum_tile(const Lanes* weights, const Rows& rows, std::int64_t d, Lanes* sums_out) {
  Lanes sums[kColumns][kVectors] = {};
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const float* at = rows.data + row * rows.stride + d;
    for (int column = 0; column < kColumns; ++column) {
      for (int v = 0; v < kVectors; ++v) {
        sums[column][v] += at[column] * weights[row * kVectors + v];
      }
    }
  }
  for (int column = 0; column < kColumns; ++column) {
    for (int v = 0; v < kVectors; ++v) sums_out[(d + column) * kVectors + v] = sums[column][v];
  }
}

/// The sum of the rows, weighted by [count][kVectors] -> [width][kVectors].
inline void weighted_sum(const Lanes* weights, const Rows& rows, std::int64_t width, Lanes* sums) {
  for_tiles<kTile>(width, [&]<int kColumns>(std::int64_t d) {
    weighted_sum_tile<kColumns>(weights, rows, d, sums);
  });
}

template <int kRows, int kColumns>
void add_tile(const float* weights, const Lanes* rows, std::int64_t vectors, Lanes* sums_out) {
  Lanes sums[kRows][kColumns];
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kColumns; ++v) sums[row][v] = sums_out[row * vectors + v];
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < kColumns; ++v) {
        sums[row][v] += weights[row * kLanes + lane] * rows[lane * vectors + v];
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kColumns; ++v) sums_out[row * vectors + v] = sums[row][v];
  }
}

/// Adds to each of `count` sums [vectors] the rows of load_rows(), weighted by its lanes.
inline void add_weighted_rows(const Lanes* weights, std::int64_t count, const Lanes* rows,
                              std::int64_t vectors, Lanes* sums) {
  const auto* numbers = reinterpret_cast<const float*>(weights);
  std::int64_t v = 0;
  for (; v + 2 <= vectors; v += 2) {
    for_tiles<kTile>(count, [&]<int kRows>(std::int64_t row) {
      add_tile<kRows, 2>(numbers + row * kLanes, rows + v, vectors, sums + row * vectors + v);
    });
  }
  if (v == vectors) return;
  for_tiles<2 * kTile>(count, [&]<int kRows>(std::int64_t row) {
    add_tile<kRows, 1>(numbers + row * kLanes, rows + v, vectors, sums + row * vectors + v);
  });
}

template <int kRows, int kColumns>
void sum_lanes_tile(const Lanes* weights, const Lanes* lanes, std::int64_t blocks,
                    std::int64_t keys, std::int64_t width, bool add, Lanes* sums_out) {
  Lanes sums[kRows][kColumns] = {};
  for (std::int64_t block = 0; block < blocks; ++block) {
    const Lanes* const of_keys = weights + block * keys * kVectors;
    const Lanes* const of_block = lanes + block * width * kVectors;
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
      for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
        for (int d = 0; d < kColumns; ++d) {
          sums[row][d] += of_keys[row * kVectors + v] * of_block[d * kVectors + v];
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
    for (int d = 0; d < kColumns; ++d) {
      Lanes& sum = sums_out[row * width + d];
      sum = add ? sum + sums[row][d] : sums[row][d];
    }
  }
}

/// Adds to the sums [keys][width], or begins them with, lanes [blocks][width][kVectors] weighted by
/// [blocks][keys][kVectors].
inline void sum_weighted_lanes(const Lanes* weights, const Lanes* lanes, std::int64_t blocks,
                               std::int64_t keys, std::int64_t width, bool add, Lanes* sums) {
  for_tiles<4>(width, [&]<int kColumns>(std::int64_t d) {
    for_tiles<4>(keys, [&]<int kRows>(std::int64_t key) {
      sum_lanes_tile<kRows, kColumns>(weights + key * kVectors, lanes + d * kVectors, blocks, keys,
                                      width, add, sums + key * width + d);
    });
  });
}

/// Sums over the lanes of [rows][width], times `factor`, to rows. `sums` is overwritten.
inline void store_lane_sums(Lanes* sums, std::int64_t rows, std::int64_t width, float factor,
                            float* to, std::int64_t stride) {
  const std::int64_t count = rows * width;
  for (std::int64_t first = 0; first < count; first += kWidth) {
    Lanes some[kWidth];
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kWidth; ++i) some[i] = sums[smaller(first + i, count - 1)];
    sums[first / kWidth] = sums_of_lanes(some) * factor;
  }
  const auto* numbers = reinterpret_cast<const float*>(sums);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t d = 0; d < width; ++d) to[row * stride + d] = numbers[row * width + d];
  }
}

}  // namespace crescendo::unet::CRESCENDO_ISA
