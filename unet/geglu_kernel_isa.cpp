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

/// Calls `work(column, lanes)` for all columns of a row.
template <typename Work>
void for_vectors(std::int64_t width, const Work& work) {
  std::int64_t column = 0;
  for (; column + kWidth <= width; column += kWidth) work(column, kWidth);
  if (column < width) work(column, width - column);
}

void forward(const float* input, std::int64_t rows, std::int64_t width, float* output) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const a = input + row * 2 * width;
    const float* const b = a + width;
    for_vectors(width, [&](std::int64_t column, std::int64_t count) {
      const Lanes gate = load(b + column, count);
      const Lanes value = load(a + column, count) * gate * normal_at(gate).distribution;
      store(value, output + row * width + column, count);
    });
  }
}

void backward(const float* input, const float* grad, std::int64_t rows, std::int64_t width,
              float* grad_input) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const a = input + row * 2 * width;
    const float* const b = a + width;
    float* const of_a = grad_input + row * 2 * width;
    float* const of_b = of_a + width;
    for_vectors(width, [&](std::int64_t column, std::int64_t count) {
      const Lanes of_output = load(grad + row * width + column, count);
      const Lanes gate = load(b + column, count);
      const Normal normal = normal_at(gate);
      const Lanes slope = normal.distribution + gate * normal.density;
      store(of_output * gate * normal.distribution, of_a + column, count);
      store(of_output * load(a + column, count) * slope, of_b + column, count);
    });
  }
}

}  // namespace

const GegluKernel kGeglu{.forward = forward, .backward = backward};

}  // namespace crescendo::unet::CRESCENDO_ISA
