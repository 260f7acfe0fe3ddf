#include "core/simd.h"
#include "unet/geglu_kernel.h"

namespace crescendo::unet::CRESCENDO_ISA {

extern const GegluKernel kGeglu;

namespace {

using namespace crescendo::CRESCENDO_ISA;  // NOLINT(google-build-using-namespace): the vectors

/// The standard normal distribution and its density.
struct Normal {
  Lanes distribution;
  Lanes density;
};

/// By 7.1.26 of Abramowitz and Stegun, to 1e-7.
Normal normal_at(const Lanes& x) {
  constexpr float kInverseRoot2 = 0.70710678118654752F;
  constexpr float kInverseRoot2Pi = 0.39894228040143268F;
  const Lanes bell = exp(x * x * -0.5F);
  const Lanes t = 1.0F / (1.0F + 0.3275911F * kInverseRoot2 * magnitude(x));
  Lanes series = Lanes{} + 1.061405429F;
  series = series * t - 1.453152027F;
  series = series * t + 1.421413741F;
  series = series * t - 0.284496736F;
  series = series * t + 0.254829592F;
  const Lanes tail = 0.5F * series * t * bell;  // of the side away from 0
  return {x < 0.0F ? tail : 1.0F - tail, kInverseRoot2Pi * bell};
}

/// Calls `work(a, b, row, column, lanes)` for all vectors of all rows.
template <typename Work>
void for_vectors(const GegluRows& rows, const Work& work) {
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const float* const a = rows.data + row * 2 * rows.width;
    for (std::int64_t column = 0; column < rows.width; column += kWidth) {
      const std::int64_t count = smaller(kWidth, rows.width - column);
      const auto biased = [&](std::int64_t at) {
        return load(a + at, count) + load(rows.bias + at, count);
      };
      work(biased(column), biased(rows.width + column), row, column, count);
    }
  }
}

void forward(const GegluRows& rows, float* output) {
  for_vectors(rows, [&](const Lanes& a, const Lanes& b, std::int64_t row, std::int64_t column,
                        std::int64_t count) {
    store(a * b * normal_at(b).distribution, output + row * rows.width + column, count);
  });
}

void backward(const GegluRows& rows, const float* grad, float* grad_rows) {
  for_vectors(rows, [&](const Lanes& a, const Lanes& b, std::int64_t row, std::int64_t column,
                        std::int64_t count) {
    const Lanes of_output = load(grad + row * rows.width + column, count);
    const Normal normal = normal_at(b);
    const Lanes slope = normal.distribution + b * normal.density;
    float* const of_a = grad_rows + row * 2 * rows.width + column;
    store(of_output * b * normal.distribution, of_a, count);
    store(of_output * a * slope, of_a + rows.width, count);
  });
}

}  // namespace

const GegluKernel kGeglu{.forward = forward, .backward = backward};

}  // namespace crescendo::unet::CRESCENDO_ISA
