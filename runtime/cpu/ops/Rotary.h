// Rotary position embeddings (Su et al. 2021), as every attention operator applies them.
#pragma once
#include <cstdint>

namespace uoe::rt {

/// Rotates the first 2·half elements of a row of `size`: pairs (i, i + half), or (2i, 2i + 1) if
/// interleaved. `from` and `to` may be the same.
template <typename T>
void rotateRow(const T *from, T *to, const T *cosines, const T *sines, int64_t half,
               bool interleaved, int64_t size) {
  for (int64_t i = 0; i < half; ++i) {
    int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
    T x = from[first], y = from[second];
    to[first] = x * cosines[i] - y * sines[i];
    to[second] = x * sines[i] + y * cosines[i];
  }
  if (from != to)
    for (int64_t i = 2 * half; i < size; ++i)
      to[i] = from[i];
}

} // namespace uoe::rt
