#include "lib/Weights/Seeded.h"
#include <cmath>

// SplitMix64 (Steele, Lea, Flood, 2014): whole numbers alone, so equal on every machine.
static uint64_t next(uint64_t &state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void uoe::fillUniform(llvm::StringRef name, uint64_t seed, double deviation,
                      llvm::MutableArrayRef<float> values) {
  // FNV-1a of the name.
  uint64_t state = 0xcbf29ce484222325;
  for (unsigned char c : name)
    state = (state ^ c) * 0x100000001b3;
  state ^= next(seed);
  auto bound = static_cast<float>(std::sqrt(3.0) * deviation);
  for (float &x : values)
    x = (static_cast<float>(next(state) >> 40) * 0x1p-23f - 1) * bound;
}
