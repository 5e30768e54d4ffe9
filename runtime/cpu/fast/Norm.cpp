#include "Norm.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <cmath>
#include <cstring>

namespace uoe::rt::fast {

namespace {
/// Rows of n floats that are worth a thread's attention.
int64_t rowGrain(int64_t n) {
  return n <= 0 ? 1 : 16384 / n + 1;
}
} // namespace

void normalize(const NormArgs &a) {
  const int64_t skipRows = a.skipRows > 0 ? a.skipRows : a.rows;
  ThreadPool::global().parallelFor(a.rows, rowGrain(a.n), [&](int64_t begin, int64_t end) {
    NormRow r;
    r.n = a.n;
    r.skipBias = a.skipBias;
    r.gamma = a.gamma;
    r.beta = a.beta;
    r.eps = a.eps;
    r.rms = a.rms;
    for (int64_t i = begin; i < end; ++i) {
      r.x = a.x + i * a.n;
      r.skip = a.skip ? a.skip + i % skipRows * a.n : nullptr;
      r.y = a.y + i * a.n;
      r.sum = a.sum ? a.sum + i * a.n : nullptr;
      r.mean = a.mean ? a.mean + i : nullptr;
      r.inverse = a.inverse ? a.inverse + i : nullptr;
      kernels().normRow(r);
    }
  });
}

void softmaxRows(const float *x, int64_t rows, int64_t n, float *y, bool logarithm) {
  ThreadPool::global().parallelFor(rows, rowGrain(4 * n), [&](int64_t begin, int64_t end) {
    const Kernels &kernel = kernels();
    for (int64_t i = begin; i < end; ++i) {
      const float *from = x + i * n;
      float *to = y + i * n, most = kernel.maxRow(from, n);
      if (!logarithm) {
        if (to != from)
          std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
        kernel.scaleRow(to, 1.0f / kernel.expRow(to, n, most), to, n);
        continue;
      }
      double total = 0;
      float part[256];
      for (int64_t j = 0; j < n; j += 256) {
        int64_t count = n - j < 256 ? n - j : 256;
        std::memcpy(part, from + j, static_cast<size_t>(count) * sizeof(float));
        total += double(kernel.expRow(part, count, most));
      }
      const float shift = static_cast<float>(std::log(total));
      for (int64_t j = 0; j < n; ++j)
        to[j] = (from[j] - most) - shift;
    }
  });
}

void rotary(const RotaryArgs &a) {
  const int64_t rotated = a.rotated > 0 ? a.rotated : a.size, half = rotated / 2;
  check(rotated % 2 == 0 && rotated <= a.size, "rotary embedding: ", rotated,
        " features of heads of ", a.size);
  const int64_t rowStride = a.rowStride > 0 ? a.rowStride : half;
  auto place = [&](int64_t b, int64_t s) {
    int64_t i = b * a.indexStride + s;
    return a.offset + (a.index ? a.index[i] : i);
  };
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t s = 0; s < a.positions; ++s) {
      int64_t p = place(b, s);
      check(p >= 0 && p < a.rows, "rotary embedding: position ", p, " of a table of ", a.rows);
    }
  ThreadPool::global().parallelFor(
      a.batch * a.positions, rowGrain(a.heads * a.size), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t b = i / a.positions, s = i % a.positions, p = place(b, s) * rowStride;
          for (int64_t h = 0; h < a.heads; ++h) {
            const float *x =
                a.x + b * a.xStrides.batch + h * a.xStrides.head + s * a.xStrides.position;
            float *y = a.y + b * a.yStrides.batch + h * a.yStrides.head + s * a.yStrides.position;
            kernels().rotateHead(x, y, a.cos + p, a.sin + p, half, a.interleaved);
            if (y != x && rotated < a.size)
              std::memcpy(y + rotated, x + rotated,
                          static_cast<size_t>(a.size - rotated) * sizeof(float));
          }
        }
      });
}

} // namespace uoe::rt::fast
