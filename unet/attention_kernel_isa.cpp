#include <cstddef>
#include <cstdint>

#include "core/simd.h"
#include "unet/attention_kernel.h"

namespace crescendo::unet::CRESCENDO_ISA {

extern const AttentionKernel kAttention;

namespace {

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
std::int64_t used(const Rows& rows, std::int64_t first) {
  return smaller(kLanes, rows.count - first);
}

/// Vectors that hold a row as it is.
std::int64_t vectors_of(std::int64_t width) { return (width + kWidth - 1) / kWidth; }

/// Rows first, first + 1, ... as lanes: [width][kVectors]; 0 where there is no row.
void load_lanes(const Rows& rows, std::int64_t width, std::int64_t first, Lanes* lanes) {
  auto* target = reinterpret_cast<float*>(lanes);
  const std::int64_t count = used(rows, first);
  for (std::int64_t d = 0; d < width; ++d) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      target[d * kLanes + lane] = lane < count ? rows.data[(first + lane) * rows.stride + d] : 0.0F;
    }
  }
}

/// The inverse: lanes [width][kVectors], times `factor`, to the first `count` rows at `target`.
void store_lanes(const Lanes* lanes, std::int64_t width, std::int64_t count, float factor,
                 float* target, std::int64_t stride) {
  const auto* source = reinterpret_cast<const float*>(lanes);
  for (std::int64_t lane = 0; lane < count; ++lane) {
    for (std::int64_t d = 0; d < width; ++d) {
      target[lane * stride + d] = factor * source[d * kLanes + lane];
    }
  }
}

/// Numbers, one a lane, for the lanes that are rows; `otherwise` for the others.
void load_numbers(const float* numbers, std::int64_t count, float otherwise, Lanes* lanes) {
  auto* target = reinterpret_cast<float*>(lanes);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    target[lane] = lane < count ? numbers[lane] : otherwise;
  }
}

/// Rows first, first + 1, ... as they are: [kLanes][vectors_of(width)]; 0 where there is none.
/// What lies behind the width stays as it is.
void load_rows(const Rows& rows, std::int64_t width, std::int64_t first, Lanes* to) {
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
void store_rows(const Lanes* rows, std::int64_t width, std::int64_t count, float factor, float* to,
                std::int64_t stride) {
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
void weighted_sum(const Lanes* weights, const Rows& rows, std::int64_t width, Lanes* sums) {
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
void add_weighted_rows(const Lanes* weights, std::int64_t count, const Lanes* rows,
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

/// What the functions below keep of some queries, and backward() of all keys.
struct Scratch {
  Scratch(const AttentionHead& head, float* memory) {
    const std::int64_t vectors = vectors_of(head.width);
    query = reinterpret_cast<Lanes*>(memory);
    grad = query + head.width * kVectors;
    output = grad + head.width * kVectors;
    scores = output + head.width * kVectors;
    others = scores + head.key.count * kVectors;
    rows = others + head.key.count * kVectors;
    key_sums = rows + kLanes * vectors;
    value_sums = key_sums + head.key.count * vectors;
    end = value_sums + head.key.count * vectors;
  }

  Lanes* query;       ///< [width][kVectors]
  Lanes* grad;        ///< [width][kVectors], of the output
  Lanes* output;      ///< [width][kVectors], and then what is to be stored
  Lanes* scores;      ///< [keys][kVectors]
  Lanes* others;      ///< [keys][kVectors]
  Lanes* rows;        ///< [kLanes][vectors of a row]
  Lanes* key_sums;    ///< [keys][vectors of a row]
  Lanes* value_sums;  ///< [keys][vectors of a row]
  Lanes* end;
};

std::size_t scratch_floats(const AttentionHead& head) {
  const std::int64_t of_lanes = 3 * head.width + 2 * head.key.count;
  const std::int64_t of_rows = (kLanes + 2 * head.key.count) * vectors_of(head.width);
  return static_cast<std::size_t>(of_lanes * kLanes + of_rows * kWidth);
}

/// Scores of some keys with queries.
template <int kRows>
struct ScoreTile {
  Lanes scores[kRows][kVectors];

  ScoreTile(const AttentionHead& head, std::int64_t first, const Lanes* queries) {
    const ProductTile<kRows> products(head.key, first, head.width, queries);
    for (int row = 0; row < kRows; ++row) {
      const float bias = head.bias != nullptr ? head.bias[first + row] : 0;
      for (int v = 0; v < kVectors; ++v) scores[row][v] = products.sums[row][v] * head.scale + bias;
    }
  }
};

/// e^score / 2^largest. The scores are not kept as powers of 2: with a bias of -10000 their last
/// bit is 0.001, and has to be that of the reference. The product is not rounded (contracted to one
/// instruction), and what is lost of `largest` all weights of a query have in common.
Lanes weight_of(const Lanes& score, const Lanes& largest) { return exp2(score * kLog2E - largest); }

/// Scores of some keys with the queries, and the largest so far.
template <int kRows>
void score(const AttentionHead& head, std::int64_t first, const Scratch& scratch,
           Lanes (&largest)[kVectors]) {
  const ScoreTile<kRows> tile(head, first, scratch.query);
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kVectors; ++v) {
      const Lanes score = tile.scores[row][v];
      scratch.scores[(first + row) * kVectors + v] = score;
      largest[v] = score > largest[v] ? score : largest[v];
    }
  }
}

void forward(const AttentionHead& head, std::int64_t first, float* output, std::int64_t stride,
             const SoftmaxParts& softmax, float* memory) {
  const Scratch scratch(head, memory);
  load_lanes(head.query, head.width, first, scratch.query);
  Lanes largest[kVectors];
  for (Lanes& of_lanes : largest) of_lanes = Lanes{} - __builtin_inff();
  for_tiles<kTile>(head.key.count,
                   [&]<int kRows>(std::int64_t key) { score<kRows>(head, key, scratch, largest); });
  for (Lanes& of_lanes : largest) of_lanes *= kLog2E;
  Lanes sum[kVectors] = {};
  for (std::int64_t key = 0; key < head.key.count; ++key) {
    for (int v = 0; v < kVectors; ++v) {
      Lanes& score = scratch.scores[key * kVectors + v];
      score = weight_of(score, largest[v]);
      sum[v] += score;
    }
  }
  weighted_sum(scratch.scores, head.value, head.width, scratch.output);
  for (std::int64_t d = 0; d < head.width; ++d) {
    for (int v = 0; v < kVectors; ++v) scratch.output[d * kVectors + v] /= sum[v];
  }
  const std::int64_t count = used(head.query, first);
  store_lanes(scratch.output, head.width, count, 1, output + first * stride, stride);
  for (std::int64_t lane = 0; lane < count; ++lane) {
    softmax.largest[first + lane] = largest[lane / kWidth][lane % kWidth];
    softmax.inverse_sum[first + lane] = 1 / sum[lane / kWidth][lane % kWidth];
  }
}

/// What the backward pass knows of some queries.
struct QueryLanes {
  Lanes largest[kVectors];
  Lanes inverse_sum[kVectors];
  Lanes dot[kVectors] = {};  ///< of the output and its gradient
};

/// The weights of some keys, and the gradients of their scores.
template <int kRows>
void weigh(const AttentionHead& head, std::int64_t first, const QueryLanes& queries,
           const Scratch& scratch) {
  const ScoreTile<kRows> tile(head, first, scratch.query);
  const ProductTile<kRows> grads(head.value, first, head.width, scratch.grad);
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = (first + row) * kVectors + v;
      const Lanes weight =
          weight_of(tile.scores[row][v], queries.largest[v]) * queries.inverse_sum[v];
      scratch.scores[at] = weight;
      scratch.others[at] = weight * (grads.sums[row][v] - queries.dot[v]);
    }
  }
}

/// The part of the gradients that `kLanes` queries from `first` on have; those of the keys and the
/// values are added to the sums.
void backward_lanes(const AttentionHead& head, const AttentionGradient& gradient,
                    std::int64_t first, const HeadGradients& to, const Scratch& scratch) {
  const std::int64_t count = used(head.query, first);
  load_lanes(head.query, head.width, first, scratch.query);
  load_lanes(gradient.grad, head.width, first, scratch.grad);
  load_lanes(gradient.output, head.width, first, scratch.output);
  QueryLanes queries;
  // A lane without a query weighs nothing.
  load_numbers(gradient.softmax.largest + first, count, __builtin_inff(), queries.largest);
  load_numbers(gradient.softmax.inverse_sum + first, count, 0, queries.inverse_sum);
  for (std::int64_t d = 0; d < head.width; ++d) {
    for (int v = 0; v < kVectors; ++v) {
      queries.dot[v] += scratch.grad[d * kVectors + v] * scratch.output[d * kVectors + v];
    }
  }
  for_tiles<kTile>(head.key.count,
                   [&]<int kRows>(std::int64_t key) { weigh<kRows>(head, key, queries, scratch); });
  weighted_sum(scratch.others, head.key, head.width, scratch.output);
  store_lanes(scratch.output, head.width, count, head.scale, to.query + first * to.stride,
              to.stride);
  const std::int64_t vectors = vectors_of(head.width);
  load_rows(head.query, head.width, first, scratch.rows);
  add_weighted_rows(scratch.others, head.key.count, scratch.rows, vectors, scratch.key_sums);
  load_rows(gradient.grad, head.width, first, scratch.rows);
  add_weighted_rows(scratch.scores, head.key.count, scratch.rows, vectors, scratch.value_sums);
}

void backward(const AttentionHead& head, const AttentionGradient& gradient, const HeadGradients& to,
              float* memory) {
  const Scratch scratch(head, memory);
  for (Lanes* at = scratch.rows; at != scratch.end; ++at) *at = Lanes{};
  for (std::int64_t first = 0; first < head.query.count; first += kLanes) {
    backward_lanes(head, gradient, first, to, scratch);
  }
  store_rows(scratch.key_sums, head.width, head.key.count, head.scale, to.key, to.stride);
  store_rows(scratch.value_sums, head.width, head.key.count, 1, to.value, to.stride);
}

}  // namespace

const AttentionKernel kAttention{
    .lanes = kLanes, .scratch_floats = scratch_floats, .forward = forward, .backward = backward};

}  // namespace crescendo::unet::CRESCENDO_ISA
