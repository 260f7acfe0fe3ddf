#include <cstddef>
#include <cstdint>

#include "core/simd.h"
#include "unet/attention_kernel.h"

namespace crescendo::unet::CRESCENDO_ISA {

extern const AttentionKernel kAttention;

namespace {

using namespace crescendo::CRESCENDO_ISA;  // NOLINT(google-build-using-namespace): the vectors

#ifdef __AVX512F__
// 8 sums at once hide the latency of an addition.
constexpr int kTile = 4;
#else
// 12 sums, with what is added to them, fill 16 registers.
constexpr int kTile = 6;
#endif
constexpr int kVectors = 2;
constexpr std::int64_t kLanes = kVectors * kWidth;

/// How many of the lanes from `first` on are rows.
std::int64_t used(const Rows& rows, std::int64_t first) {
  return smaller(kLanes, rows.count - first);
}

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

/// Numbers, one a lane, for the lanes that are rows; 0 for the others.
void load_numbers(const float* numbers, std::int64_t count, Lanes* lanes) {
  auto* target = reinterpret_cast<float*>(lanes);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    target[lane] = numbers != nullptr && lane < count ? numbers[lane] : 0.0F;
  }
}

template <int kRows>
void product_tile(const float* rows, std::int64_t stride, std::int64_t width, const Lanes* lanes,
                  Lanes* products) {
  Lanes sums[kRows][kVectors] = {};
  for (std::int64_t d = 0; d < width; ++d) {
    for (int row = 0; row < kRows; ++row) {
      for (int v = 0; v < kVectors; ++v) {
        sums[row][v] += rows[row * stride + d] * lanes[d * kVectors + v];
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kVectors; ++v) products[row * kVectors + v] = sums[row][v];
  }
}

/// rows [count][width] times lanes [width][kVectors] -> products [count][kVectors].
void product(const Rows& rows, std::int64_t width, const Lanes* lanes, Lanes* products) {
  std::int64_t row = 0;
  for (; row + kTile <= rows.count; row += kTile) {
    product_tile<kTile>(rows.data + row * rows.stride, rows.stride, width, lanes,
                        products + row * kVectors);
  }
  for (; row < rows.count; ++row) {
    product_tile<1>(rows.data + row * rows.stride, rows.stride, width, lanes,
                    products + row * kVectors);
  }
}

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
  std::int64_t d = 0;
  for (; d + kTile <= width; d += kTile) weighted_sum_tile<kTile>(weights, rows, d, sums);
  for (; d < width; ++d) weighted_sum_tile<1>(weights, rows, d, sums);
}

/// The queries or the keys, whichever are more.
std::int64_t most_rows(const AttentionHead& head) {
  return head.query.count > head.key.count ? head.query.count : head.key.count;
}

/// What the functions below keep of some queries or keys.
struct Scratch {
  Scratch(const AttentionHead& head, float* memory) {
    first = reinterpret_cast<Lanes*>(memory);
    second = first + head.width * kVectors;
    scores = second + head.width * kVectors;
    others = scores + most_rows(head) * kVectors;
  }

  Lanes* first;   ///< [width][kVectors]
  Lanes* second;  ///< [width][kVectors]
  Lanes* scores;  ///< [most_rows][kVectors]
  Lanes* others;  ///< [most_rows][kVectors]
};

std::size_t scratch_floats(const AttentionHead& head) {
  return static_cast<std::size_t>(2 * (head.width + most_rows(head)) * kLanes);
}

void forward(const AttentionHead& head, std::int64_t first, float* output, std::int64_t stride,
             const SoftmaxParts& softmax, float* memory) {
  const Scratch scratch(head, memory);
  load_lanes(head.query, head.width, first, scratch.first);
  product(head.key, head.width, scratch.first, scratch.scores);
  Lanes largest[kVectors];
  for (int v = 0; v < kVectors; ++v) largest[v] = Lanes{} - __builtin_inff();
  for (std::int64_t key = 0; key < head.key.count; ++key) {
    const float bias = head.bias != nullptr ? head.bias[key] : 0;
    for (int v = 0; v < kVectors; ++v) {
      Lanes& score = scratch.scores[key * kVectors + v];
      score = score * head.scale + bias;
      largest[v] = score > largest[v] ? score : largest[v];
    }
  }
  Lanes sum[kVectors] = {};
  for (std::int64_t key = 0; key < head.key.count; ++key) {
    for (int v = 0; v < kVectors; ++v) {
      Lanes& score = scratch.scores[key * kVectors + v];
      score = exp(score - largest[v]);
      sum[v] += score;
    }
  }
  weighted_sum(scratch.scores, head.value, head.width, scratch.first);
  for (std::int64_t d = 0; d < head.width; ++d) {
    for (int v = 0; v < kVectors; ++v) scratch.first[d * kVectors + v] /= sum[v];
  }
  const std::int64_t count = used(head.query, first);
  store_lanes(scratch.first, head.width, count, 1, output + first * stride, stride);
  for (std::int64_t lane = 0; lane < count; ++lane) {
    softmax.largest[first + lane] = largest[lane / kWidth][lane % kWidth];
    softmax.inverse_sum[first + lane] = 1 / sum[lane / kWidth][lane % kWidth];
  }
}

void backward_queries(const AttentionHead& head, const AttentionGradient& gradient,
                      std::int64_t first, float* grad_query, std::int64_t stride, float* memory) {
  const Scratch scratch(head, memory);
  const std::int64_t count = used(head.query, first);
  load_lanes(head.query, head.width, first, scratch.first);
  load_lanes(gradient.grad, head.width, first, scratch.second);
  Lanes largest[kVectors];
  Lanes inverse_sum[kVectors];
  Lanes dot[kVectors];
  load_numbers(gradient.softmax.largest + first, count, largest);
  load_numbers(gradient.softmax.inverse_sum + first, count, inverse_sum);
  load_numbers(gradient.grad_dot_out + first, count, dot);
  product(head.key, head.width, scratch.first, scratch.scores);
  product(head.value, head.width, scratch.second, scratch.others);
  for (std::int64_t key = 0; key < head.key.count; ++key) {
    const float bias = head.bias != nullptr ? head.bias[key] : 0;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = key * kVectors + v;
      const Lanes weight = exp(scratch.scores[at] * head.scale + bias - largest[v]);
      scratch.scores[at] = weight * inverse_sum[v] * (scratch.others[at] - dot[v]);
    }
  }
  weighted_sum(scratch.scores, head.key, head.width, scratch.first);
  store_lanes(scratch.first, head.width, count, head.scale, grad_query + first * stride, stride);
}

void backward_keys(const AttentionHead& head, const AttentionGradient& gradient, std::int64_t first,
                   float* grad_key, float* grad_value, std::int64_t stride, float* memory) {
  const Scratch scratch(head, memory);
  const std::int64_t count = used(head.key, first);
  load_lanes(head.key, head.width, first, scratch.first);
  load_lanes(head.value, head.width, first, scratch.second);
  Lanes bias[kVectors];
  load_numbers(head.bias != nullptr ? head.bias + first : nullptr, count, bias);
  product(head.query, head.width, scratch.first, scratch.scores);
  product(gradient.grad, head.width, scratch.second, scratch.others);
  for (std::int64_t query = 0; query < head.query.count; ++query) {
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = query * kVectors + v;
      const Lanes weight =
          exp(scratch.scores[at] * head.scale + bias[v] - gradient.softmax.largest[query]) *
          gradient.softmax.inverse_sum[query];
      scratch.scores[at] = weight;
      scratch.others[at] = weight * (scratch.others[at] - gradient.grad_dot_out[query]);
    }
  }
  weighted_sum(scratch.scores, gradient.grad, head.width, scratch.first);
  store_lanes(scratch.first, head.width, count, 1, grad_value + first * stride, stride);
  weighted_sum(scratch.others, head.query, head.width, scratch.first);
  store_lanes(scratch.first, head.width, count, head.scale, grad_key + first * stride, stride);
}

}  // namespace

const AttentionKernel kAttention{.lanes = kLanes,
                                 .scratch_floats = scratch_floats,
                                 .forward = forward,
                                 .backward_queries = backward_queries,
                                 .backward_keys = backward_keys};

}  // namespace crescendo::unet::CRESCENDO_ISA
