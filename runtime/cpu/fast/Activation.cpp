#include "Activation.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"

namespace uoe::rt::fast {

void applyCut(const Cut &cut, float *gate, float *up, int64_t n) {
  if (!cut.any())
    return;
  // By comparisons that NaN fails.
  for (int64_t i = 0; i < n; ++i) {
    gate[i] = gate[i] > cut.limit ? cut.limit : gate[i];
    const float least = up[i] < -cut.limit ? -cut.limit : up[i];
    up[i] = (least > cut.limit ? cut.limit : least) + cut.upOffset;
  }
}

void activate(Activation act, const float *x, float *y, int64_t n) {
  ThreadPool::global().parallelFor(n, 8192, [&](int64_t begin, int64_t end) {
    kernels().activation(act, x + begin, y + begin, end - begin);
  });
}

void activateGated(Activation act, const float *gate, const float *up, float *y, int64_t n) {
  ThreadPool::global().parallelFor(n, 8192, [&](int64_t begin, int64_t end) {
    kernels().gated(act, gate + begin, up + begin, y + begin, end - begin);
  });
}

} // namespace uoe::rt::fast
