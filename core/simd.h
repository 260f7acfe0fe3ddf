#pragma once

// For the files that are compiled once for each instruction set (crescendo_kernels() in cmake/),
// into the namespace CRESCENDO_ISA. Such a file may include nothing of the standard library that is
// code: the linker might keep its copy for all.

#include <cstdint>
#include <utility>

#include <immintrin.h>

namespace crescendo::CRESCENDO_ISA {

#ifdef __AVX512F__
constexpr int kVectorBytes = 64;
#else
constexpr int kVectorBytes = 32;
#endif

/// Computed with as numbers are: each lane by itself.
using Lanes = float __attribute__((vector_size(kVectorBytes)));
using IntLanes = std::int32_t __attribute__((vector_size(kVectorBytes)));

/// Lanes of one vector.
constexpr std::int64_t kWidth = kVectorBytes / sizeof(float);

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

#ifdef __AVX512F__
inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>((1U << count) - 1U);
}
#endif

/// The first `count` lanes from memory of any alignment, 0 in the others.
inline Lanes load(const float* from, std::int64_t count = kWidth) {
  Lanes lanes{};
  if (count == kWidth) {
    __builtin_memcpy(&lanes, from, sizeof lanes);
    return lanes;
  }
#ifdef __AVX512F__
  return _mm512_maskz_loadu_ps(first_lanes(count), from);
#else
  for (std::int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return lanes;
#endif
}

inline void store(const Lanes& lanes, float* to, std::int64_t count = kWidth) {
  if (count == kWidth) {
    __builtin_memcpy(to, &lanes, sizeof lanes);
    return;
  }
#ifdef __AVX512F__
  _mm512_mask_storeu_ps(to, first_lanes(count), lanes);
#else
  for (std::int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

/// Exchanges the lanes of `a` whose number has the bit kStep with those of `b` whose has not.
template <int kStep, int... kLane>
void exchange(Lanes& a, Lanes& b, std::integer_sequence<int, kLane...> /*lanes*/) {
  constexpr int kOfB = kWidth;
  const Lanes old = a;
  a = __builtin_shufflevector(old, b, (kLane & kStep ? kOfB + kLane - kStep : kLane)...);
  b = __builtin_shufflevector(old, b, (kLane & kStep ? kOfB + kLane : kLane + kStep)...);
}

/// Lane j of row i becomes lane i of row j.
template <int kStep = 1>
[[gnu::always_inline]] inline void transpose(Lanes (&rows)[kWidth]) {
#pragma GCC unroll 16
  for (int row = 0; row < kWidth; ++row) {
    if ((row & kStep) != 0) continue;
    exchange<kStep>(rows[row], rows[row + kStep], std::make_integer_sequence<int, kWidth>());
  }
  if constexpr (2 * kStep < kWidth) transpose<2 * kStep>(rows);
}

/// Lane i is the sum of the lanes of rows[i], which are gone.
template <int kStep = 1>
[[gnu::always_inline]] inline Lanes sums_of_lanes(Lanes (&rows)[kWidth]) {
#pragma GCC unroll 16
  for (int row = 0; row < kWidth; row += 2 * kStep) {
    exchange<kStep>(rows[row], rows[row + kStep], std::make_integer_sequence<int, kWidth>());
    rows[row] += rows[row + kStep];
  }
  if constexpr (2 * kStep < kWidth) return sums_of_lanes<2 * kStep>(rows);
  return rows[0];
}

/// NaN where `b` is.
inline Lanes larger(const Lanes& a, const Lanes& b) {
#ifdef __AVX512F__
  return _mm512_maskz_max_ps(first_lanes(kWidth), a, b);
#else
  return _mm256_max_ps(a, b);
#endif
}

/// 2^x to 3 ulp, for x <= 0 about; the least normal number below 2^-126.
inline Lanes exp2(Lanes x) {
  x = larger(Lanes{} - 126.0F, x);
#ifdef __AVX512F__
  const __mmask16 all = first_lanes(kWidth);  // without a mask GCC 12 warns of its own header
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  const Lanes whole = _mm512_maskz_roundscale_ps(all, x, kNearest);
#else
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: the sum with it has no fraction
  const Lanes shifted = x + kRound;
  const Lanes whole = shifted - kRound;
#endif
  const Lanes f = x - whole;  // in [-1/2, 1/2]
  // 1 + f p(f), where p is of degree 4 and the largest relative error as small as may be: 9.1e-8.
  Lanes power = Lanes{} + 1.32647273e-3F;
  power = power * f + 9.67151299e-3F;
  power = power * f + 5.55073358e-2F;
  power = power * f + 2.40222424e-1F;
  power = power * f + 6.93147004e-1F;
  power = power * f + 1.0F;
#ifdef __AVX512F__
  return _mm512_maskz_scalef_ps(all, power, whole);
#else
  const IntLanes exponent = reinterpret_cast<IntLanes>(shifted) << 23;
  return reinterpret_cast<Lanes>(reinterpret_cast<IntLanes>(power) + exponent);
#endif
}

constexpr float kLog2E = 1.44269504088896341F;

/// e^x to some ulp, for x <= 0 about.
inline Lanes exp(const Lanes& x) { return exp2(x * kLog2E); }

inline Lanes magnitude(const Lanes& x) { return x < 0.0F ? -x : x; }

/// 1 / (1 + e^-x), also where e^-x would overflow.
inline Lanes sigmoid(const Lanes& x) {
  const Lanes e = exp(-magnitude(x));
  return (x < 0.0F ? e : Lanes{} + 1.0F) / (1.0F + e);
}

}  // namespace crescendo::CRESCENDO_ISA
