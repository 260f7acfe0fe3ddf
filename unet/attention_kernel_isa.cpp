#include <cstddef>
#include <cstdint>

#include "unet/attention_kernel.h"
#include "unet/attention_tiles.h"

namespace crescendo::unet::CRESCENDO_ISA {

extern const AttentionKernel kAttention;

namespace {

/// Whether a row, as it is, leaves half a vector empty or more.
bool is_narrow(std::int64_t width) { return 2 * width <= kWidth; }

/// Of `kLanes` queries, whose weights are kept at a time.
std::int64_t blocks_of(std::int64_t width) { return is_narrow(width) ? 8 : 1; }

/// Vectors of a key's gradient while it is summed: narrow ones are summed by lanes.
std::int64_t sums_of(std::int64_t width) { return is_narrow(width) ? width : vectors_of(width); }

/// What the functions below keep of some queries, and backward() of all keys.
struct Scratch {
  Scratch(const AttentionHead& head, float* memory)
      : width(head.width), keys(head.key.count), blocks(blocks_of(head.width)) {
    query = reinterpret_cast<Lanes*>(memory);
    grad = query + blocks * width * kVectors;
    output = grad + blocks * width * kVectors;
    scores = output + width * kVectors;
    others = scores + blocks * keys * kVectors;
    rows = others + blocks * keys * kVectors;
    key_sums = rows + kLanes * vectors_of(width);
    value_sums = key_sums + keys * sums_of(width);
  }

  /// With the lanes of that block.
  Scratch of_block(std::int64_t block) const {
    Scratch scratch = *this;
    scratch.query += block * width * kVectors;
    scratch.grad += block * width * kVectors;
    scratch.scores += block * keys * kVectors;
    scratch.others += block * keys * kVectors;
    return scratch;
  }

  std::int64_t width, keys, blocks;
  Lanes* query;       ///< [blocks][width][kVectors]
  Lanes* grad;        ///< [blocks][width][kVectors], of the output
  Lanes* output;      ///< [width][kVectors], and then what is to be stored
  Lanes* scores;      ///< [blocks][keys][kVectors]
  Lanes* others;      ///< [blocks][keys][kVectors]
  Lanes* rows;        ///< [kLanes][vectors of a row]
  Lanes* key_sums;    ///< [keys][sums_of(width)]
  Lanes* value_sums;  ///< [keys][sums_of(width)]
};

std::size_t scratch_floats(const AttentionHead& head) {
  const std::int64_t width = head.width;
  const std::int64_t blocks = blocks_of(width);
  const std::int64_t of_queries = (2 * blocks + 1) * width * kVectors + kLanes * vectors_of(width);
  const std::int64_t of_keys = 2 * head.key.count * (blocks * kVectors + sums_of(width));
  return static_cast<std::size_t>((of_queries + of_keys) * kWidth);
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
      largest[v] = larger(score, largest[v]);
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

/// Weighs the keys for `kLanes` queries from `first` on, and stores the gradients of these.
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
  for_tiles<kTile / 2>(head.key.count, [&]<int kRows>(std::int64_t key) {
    weigh<kRows>(head, key, queries, scratch);
  });
  weighted_sum(scratch.others, head.key, head.width, scratch.output);
  store_lanes(scratch.output, head.width, count, head.scale, to.query + first * to.stride,
              to.stride);
}

/// Adds the gradients that the keys and values have from those queries to their sums.
void add_row_gradients(const AttentionHead& head, const AttentionGradient& gradient,
                       std::int64_t first, const Scratch& scratch) {
  const std::int64_t vectors = vectors_of(head.width);
  load_rows(head.query, head.width, first, scratch.rows);
  add_weighted_rows(scratch.others, head.key.count, scratch.rows, vectors, scratch.key_sums);
  load_rows(gradient.grad, head.width, first, scratch.rows);
  add_weighted_rows(scratch.scores, head.key.count, scratch.rows, vectors, scratch.value_sums);
}

void backward_by_rows(const AttentionHead& head, const AttentionGradient& gradient,
                      const HeadGradients& to, float* memory) {
  const Scratch scratch(head, memory);
  Lanes* const end = scratch.value_sums + scratch.keys * sums_of(scratch.width);
  for (Lanes* at = scratch.rows; at != end; ++at) *at = Lanes{};
  for (std::int64_t first = 0; first < head.query.count; first += kLanes) {
    backward_lanes(head, gradient, first, to, scratch);
    add_row_gradients(head, gradient, first, scratch);
  }
  store_rows(scratch.key_sums, scratch.keys, scratch.width, head.scale, to.key, to.stride);
  store_rows(scratch.value_sums, scratch.keys, scratch.width, 1, to.value, to.stride);
}

/// The rows of narrow heads, as they are, would leave most of each vector empty.
void backward_by_lanes(const AttentionHead& head, const AttentionGradient& gradient,
                       const HeadGradients& to, float* memory) {
  const Scratch scratch(head, memory);
  for (std::int64_t first = 0; first < head.query.count;) {
    const bool add = first > 0;
    std::int64_t blocks = 0;
    for (; blocks < scratch.blocks && first < head.query.count; first += kLanes) {
      backward_lanes(head, gradient, first, to, scratch.of_block(blocks++));
    }
    sum_weighted_lanes(scratch.others, scratch.query, blocks, scratch.keys, scratch.width, add,
                       scratch.key_sums);
    sum_weighted_lanes(scratch.scores, scratch.grad, blocks, scratch.keys, scratch.width, add,
                       scratch.value_sums);
  }
  store_lane_sums(scratch.key_sums, scratch.keys, scratch.width, head.scale, to.key, to.stride);
  store_lane_sums(scratch.value_sums, scratch.keys, scratch.width, 1, to.value, to.stride);
}

void backward(const AttentionHead& head, const AttentionGradient& gradient, const HeadGradients& to,
              float* memory) {
  (is_narrow(head.width) ? backward_by_lanes : backward_by_rows)(head, gradient, to, memory);
}

}  // namespace

const AttentionKernel kAttention{
    .lanes = kLanes, .scratch_floats = scratch_floats, .forward = forward, .backward = backward};

}  // namespace crescendo::unet::CRESCENDO_ISA
