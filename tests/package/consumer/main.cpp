#include "core/random.h"

// Uses what needs no LibTorch header, so that it compiles in a second; it links every library.
int main() {
  crescendo::RandomStream stream(1, crescendo::Purpose::kNoise, 2);
  const float value = stream.uniform();
  return value >= 0 && value < 1 ? 0 : 1;
}
