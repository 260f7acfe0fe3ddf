#pragma once

// For the files that are compiled once for each instruction set (crescendo_kernels() in cmake/),
// into the namespace CRESCENDO_ISA. Such a file may include nothing of the standard library that is
// code: the linker might keep its copy for all.

#include <cstdint>

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

/// The first `count` lanes from memory of any alignment, 0 in the others.
inline Lanes load(const float* from, std::int64_t count = kWidth) {
  Lanes lanes{};
  if (count == kWidth) {
    __builtin_memcpy(&lanes, from, sizeof lanes);
  } else {
    for (std::int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  }
  return lanes;
}

inline void store(const Lanes& lanes, float* to, std::int64_t count = kWidth) {
  if (count == kWidth) {
    __builtin_memcpy(to, &lanes, sizeof lanes);
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = lanes[i];
  }
}

/// e^x to some ulp, for x <= 0 about; the least normal number below 2^-126.
inline Lanes exp(Lanes x) {
  constexpr float kLog2E = 1.44269504088896341F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: the sum with it has no fraction
  x *= kLog2E;
  x = x < -126.0F ? Lanes{} - 126.0F : x;
  const Lanes shifted = x + kRound;
  const Lanes f = x - (shifted - kRound);  // in [-1/2, 1/2]
  // The series of 2^f: ln(2)^k / k!, whose rest is below 1.3e-7.
  Lanes power = Lanes{} + 1.5403530e-4F;
  power = power * f + 1.3333558e-3F;
  power = power * f + 9.6181291e-3F;
  power = power * f + 5.5504109e-2F;
  power = power * f + 2.4022651e-1F;
  power = power * f + 6.9314718e-1F;
  power = power * f + 1.0F;
  const IntLanes exponent = reinterpret_cast<IntLanes>(shifted) << 23;
  return reinterpret_cast<Lanes>(reinterpret_cast<IntLanes>(power) + exponent);
}

inline Lanes magnitude(const Lanes& x) { return x < 0.0F ? -x : x; }

/// 1 / (1 + e^-x), also where e^-x would overflow.
inline Lanes sigmoid(const Lanes& x) {
  const Lanes e = exp(-magnitude(x));
  return (x < 0.0F ? e : Lanes{} + 1.0F) / (1.0F + e);
}

}  // namespace crescendo::CRESCENDO_ISA
