#include "core/group_norm_kernel.h"
#include "core/simd.h"

namespace crescendo::CRESCENDO_ISA {

extern const GroupNormKernel kGroupNorm;

namespace {

/// Vectors of channels that a pass over the positions takes at once.
constexpr int kVectors = 4;

/// Positions that are summed before they are added to the sum of those before: rounding grows with
/// the number of summands.
constexpr std::int64_t kRun = 128;

struct ChannelRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

ChannelRange channels_of(const GroupNormSample& sample, GroupRange groups) {
  return {groups.begin * sample.group_size(), groups.end * sample.group_size()};
}

/// Up to kCount vectors of neighbouring channels; the last may be cut short.
template <int kCount>
struct Block {
  std::int64_t first = 0;
  std::int64_t last_width = kWidth;

  std::int64_t width(int v) const { return v + 1 == kCount ? last_width : kWidth; }

  void load(const float* row, Lanes (&lanes)[kCount]) const {
    for (int v = 0; v < kCount; ++v) {
      lanes[v] = CRESCENDO_ISA::load(row + first + v * kWidth, width(v));
    }
  }

  void store(const Lanes (&lanes)[kCount], float* row) const {
    for (int v = 0; v < kCount; ++v) {
      CRESCENDO_ISA::store(lanes[v], row + first + v * kWidth, width(v));
    }
  }
};

/// Calls `work` with blocks that together are the channels.
template <typename Work>
void for_blocks(ChannelRange channels, const Work& work) {
  std::int64_t first = channels.begin;
  for (; first + kVectors * kWidth <= channels.end; first += kVectors * kWidth) {
    work(Block<kVectors>{first});
  }
  for (; first < channels.end; first += kWidth) {
    work(Block<1>{first, smaller(kWidth, channels.end - first)});
  }
}

/// Sums over the positions, by channel, what `add(position, sums)` adds to them.
template <int kCount, typename Add>
void sum_positions(std::int64_t positions, Lanes (&sums)[kCount], const Add& add) {
  for (int v = 0; v < kCount; ++v) sums[v] = Lanes{};
  for (std::int64_t begin = 0; begin < positions; begin += kRun) {
    Lanes run[kCount] = {};
    const std::int64_t end = smaller(begin + kRun, positions);
    for (std::int64_t position = begin; position < end; ++position) add(position, run);
    for (int v = 0; v < kCount; ++v) sums[v] += run[v];
  }
}

/// The numbers of each group as its channels have them: target[c] = value(group of c, c).
template <typename Value>
void spread(const GroupNormSample& sample, GroupRange groups, float* target, const Value& value) {
  for (std::int64_t group = groups.begin; group < groups.end; ++group) {
    for (std::int64_t i = 0; i < sample.group_size(); ++i) {
      const std::int64_t channel = group * sample.group_size() + i;
      target[channel] = value(group, channel);
    }
  }
}

/// Of the values of a group's channels.
double group_mean(const GroupNormSample& sample, std::int64_t group, const float* sums) {
  double sum = 0;
  for (std::int64_t i = 0; i < sample.group_size(); ++i) {
    sum += sums[group * sample.group_size() + i];
  }
  return sum / static_cast<double>(sample.group_size() * sample.positions);
}

float shift_of(const GroupNormSample& sample, std::int64_t channel) {
  return sample.shift != nullptr ? sample.shift[channel] : 0;
}

/// What is taken off x: the mean of the group, less the shift.
void write_centers(const GroupNormSample& sample, GroupRange groups, float* centers) {
  spread(sample, groups, centers, [&](std::int64_t group, std::int64_t channel) {
    return sample.mean[group] - shift_of(sample, channel);
  });
}

/// The normalisation as (x - center) * slope + bias.
void write_slopes(const GroupNormSample& sample, GroupRange groups, float* slopes) {
  spread(sample, groups, slopes, [&](std::int64_t group, std::int64_t channel) {
    return sample.weight[channel] * sample.inverse_std[group];
  });
}

/// Sums are of differences, from the first position and then from the mean: where a group is far
/// from 0, its own sum would lose what sets the positions apart.
void measure(const GroupNormSample& sample, GroupRange groups, float* sums, float* centers) {
  const ChannelRange channels = channels_of(sample, groups);
  for_blocks(channels, [&]<int kCount>(Block<kCount> block) {
    Lanes first[kCount];
    Lanes sum[kCount];
    block.load(sample.x, first);
    sum_positions(sample.positions, sum, [&](std::int64_t position, Lanes(&run)[kCount]) {
      Lanes x[kCount];
      block.load(sample.x + position * sample.channels, x);
      for (int v = 0; v < kCount; ++v) run[v] += x[v] - first[v];
    });
    block.store(sum, sums);
  });
  for (std::int64_t group = groups.begin; group < groups.end; ++group) {
    double mean = group_mean(sample, group, sums);
    for (std::int64_t i = 0; i < sample.group_size(); ++i) {
      const std::int64_t channel = group * sample.group_size() + i;
      mean += (static_cast<double>(sample.x[channel]) + shift_of(sample, channel)) /
              static_cast<double>(sample.group_size());
    }
    sample.mean[group] = static_cast<float>(mean);
  }
  write_centers(sample, groups, centers);
  for_blocks(channels, [&]<int kCount>(Block<kCount> block) {
    Lanes center[kCount];
    Lanes sum[kCount];
    block.load(centers, center);
    sum_positions(sample.positions, sum, [&](std::int64_t position, Lanes(&run)[kCount]) {
      Lanes x[kCount];
      block.load(sample.x + position * sample.channels, x);
      for (int v = 0; v < kCount; ++v) run[v] += (x[v] - center[v]) * (x[v] - center[v]);
    });
    block.store(sum, sums);
  });
  for (std::int64_t group = groups.begin; group < groups.end; ++group) {
    const double variance = group_mean(sample, group, sums);
    sample.inverse_std[group] = static_cast<float>(1 / __builtin_sqrt(variance + sample.eps));
  }
}

template <bool kSilu>
void normalize(const GroupNormSample& sample, GroupRange groups, const float* centers,
               const float* slopes, float* output) {
  for_blocks(channels_of(sample, groups), [&]<int kCount>(Block<kCount> block) {
    Lanes center[kCount];
    Lanes slope[kCount];
    Lanes bias[kCount];
    block.load(centers, center);
    block.load(slopes, slope);
    block.load(sample.bias, bias);
    for (std::int64_t position = 0; position < sample.positions; ++position) {
      Lanes y[kCount];
      block.load(sample.x + position * sample.channels, y);
      for (int v = 0; v < kCount; ++v) {
        y[v] = (y[v] - center[v]) * slope[v] + bias[v];
        if constexpr (kSilu) y[v] *= sigmoid(y[v]);
      }
      block.store(y, output + position * sample.channels);
    }
  });
}

void forward(const GroupNormSample& sample, GroupRange groups, float* output, float* scratch) {
  float* const sums = scratch;
  float* const centers = sums + sample.channels;
  float* const slopes = centers + sample.channels;
  measure(sample, groups, sums, centers);
  write_slopes(sample, groups, slopes);
  const auto write = sample.silu ? normalize<true> : normalize<false>;
  write(sample, groups, centers, slopes, output);
}

/// Writes the gradient of what comes out of the normalisation to gradients.x, and those of weight
/// and bias.
template <bool kSilu>
void backward_sums(const GroupNormSample& sample, GroupRange groups, const float* centers,
                   const float* slopes, const GroupNormGradients& gradients) {
  for_blocks(channels_of(sample, groups), [&]<int kCount>(Block<kCount> block) {
    Lanes center[kCount];
    Lanes slope[kCount];
    Lanes bias[kCount];
    block.load(centers, center);
    block.load(slopes, slope);
    block.load(sample.bias, bias);
    Lanes sums[2 * kCount];  // of the gradient, and of its products with x
    sum_positions(sample.positions, sums, [&](std::int64_t position, Lanes(&run)[2 * kCount]) {
      Lanes x[kCount];
      Lanes grad[kCount];
      block.load(sample.x + position * sample.channels, x);
      block.load(gradients.grad + position * sample.channels, grad);
      for (int v = 0; v < kCount; ++v) {
        x[v] -= center[v];
        if constexpr (kSilu) {
          const Lanes y = x[v] * slope[v] + bias[v];
          const Lanes s = sigmoid(y);
          grad[v] *= s * (1.0F + y * (1.0F - s));
        }
        run[v] += grad[v];
        run[kCount + v] += grad[v] * x[v];
      }
      block.store(grad, gradients.x + position * sample.channels);
    });
    Lanes of_bias[kCount];
    Lanes of_weight[kCount];
    for (int v = 0; v < kCount; ++v) {
      of_bias[v] = sums[v];
      of_weight[v] = sums[kCount + v];
    }
    block.store(of_bias, gradients.bias);
    block.store(of_weight, gradients.weight);
  });
  spread(sample, groups, gradients.weight, [&](std::int64_t group, std::int64_t channel) {
    return gradients.weight[channel] * sample.inverse_std[group];
  });
}

/// Of the values of a group's channels, each times its weight.
double weighted_mean(const GroupNormSample& sample, std::int64_t group, const float* sums) {
  double sum = 0;
  for (std::int64_t i = 0; i < sample.group_size(); ++i) {
    const std::int64_t channel = group * sample.group_size() + i;
    sum += static_cast<double>(sums[channel]) * sample.weight[channel];
  }
  return sum / static_cast<double>(sample.group_size() * sample.positions);
}

/// The second pass: gradient * slope + (x - center) * factor + constant in the gradient's place.
template <bool kShift>
void backward_apply(const GroupNormSample& sample, GroupRange groups, const float* centers,
                    const float* slopes, const float* factors, const float* constants,
                    const GroupNormGradients& gradients) {
  for_blocks(channels_of(sample, groups), [&]<int kCount>(Block<kCount> block) {
    Lanes center[kCount];
    Lanes slope[kCount];
    Lanes factor[kCount];
    Lanes constant[kCount];
    block.load(centers, center);
    block.load(slopes, slope);
    block.load(factors, factor);
    block.load(constants, constant);
    Lanes sums[kCount];
    sum_positions(sample.positions, sums, [&](std::int64_t position, Lanes(&run)[kCount]) {
      Lanes x[kCount];
      Lanes grad[kCount];
      float* const target = gradients.x + position * sample.channels;
      block.load(sample.x + position * sample.channels, x);
      block.load(target, grad);
      for (int v = 0; v < kCount; ++v) {
        grad[v] = grad[v] * slope[v] + (x[v] - center[v]) * factor[v] + constant[v];
        if constexpr (kShift) run[v] += grad[v];
      }
      block.store(grad, target);
    });
    if constexpr (kShift) block.store(sums, gradients.shift);
  });
}

/// With n the normalised x and g its gradient, x has (g - mean(g) - n mean(g n)) / std.
void backward(const GroupNormSample& sample, GroupRange groups, const GroupNormGradients& gradients,
              float* scratch) {
  float* const centers = scratch;
  float* const slopes = centers + sample.channels;
  float* const factors = slopes + sample.channels;
  float* const constants = factors + sample.channels;
  write_centers(sample, groups, centers);
  write_slopes(sample, groups, slopes);
  const auto sum = sample.silu ? backward_sums<true> : backward_sums<false>;
  sum(sample, groups, centers, slopes, gradients);
  for (std::int64_t group = groups.begin; group < groups.end; ++group) {
    const double inverse_std = sample.inverse_std[group];
    const double constant = -inverse_std * weighted_mean(sample, group, gradients.bias);
    const double factor =
        -inverse_std * inverse_std * weighted_mean(sample, group, gradients.weight);
    for (std::int64_t i = 0; i < sample.group_size(); ++i) {
      constants[group * sample.group_size() + i] = static_cast<float>(constant);
      factors[group * sample.group_size() + i] = static_cast<float>(factor);
    }
  }
  const auto apply = gradients.shift != nullptr ? backward_apply<true> : backward_apply<false>;
  apply(sample, groups, centers, slopes, factors, constants, gradients);
}

}  // namespace

const GroupNormKernel kGroupNorm{.forward = forward, .backward = backward};

}  // namespace crescendo::CRESCENDO_ISA
