#include "Gemm.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace uoe::calibration {
namespace {

// One block of the inner dimension; part of the result's definition, as each block is rounded on
// its own.
constexpr int64_t kDepth = 256;
constexpr int64_t kWidth = 2048; // columns of B that are packed at once
constexpr int64_t kHeight = 192; // rows of A that a task packs at once
constexpr int64_t kMaxTile = 12 * 32;

/// tile [rows, cols] = Σ_k a[k, rows] b[k, cols] over packed panels.
using Kernel = void (*)(int64_t depth, const float *a, const float *b, float *tile);
struct KernelShape {
  int64_t rows, cols;
  Kernel run;
};

template <int Rows, int Cols>
void runPlain(int64_t depth, const float *a, const float *b, float *tile) {
  std::fill(tile, tile + Rows * Cols, 0.0f);
  for (int64_t k = 0; k < depth; ++k, a += Rows, b += Cols)
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Cols; ++j)
        tile[i * Cols + j] = std::fma(a[i], b[j], tile[i * Cols + j]);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void runAvx2(int64_t depth, const float *a, const float *b,
                                                 float *tile) {
  __m256 sum[6][2];
  for (auto &row : sum)
    row[0] = row[1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < depth; ++k, a += 6, b += 16) {
    __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      __m256 ai = _mm256_broadcast_ss(a + i);
      sum[i][0] = _mm256_fmadd_ps(ai, b0, sum[i][0]);
      sum[i][1] = _mm256_fmadd_ps(ai, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < 6; ++i) {
    _mm256_storeu_ps(tile + i * 16, sum[i][0]);
    _mm256_storeu_ps(tile + i * 16 + 8, sum[i][1]);
  }
}

__attribute__((target("avx512f"))) void runAvx512(int64_t depth, const float *a, const float *b,
                                                  float *tile) {
  __m512 sum[12][2];
  for (auto &row : sum)
    row[0] = row[1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; ++k, a += 12, b += 32) {
    __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      __m512 ai = _mm512_set1_ps(a[i]);
      sum[i][0] = _mm512_fmadd_ps(ai, b0, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(ai, b1, sum[i][1]);
    }
  }
  for (int i = 0; i < 12; ++i) {
    _mm512_storeu_ps(tile + i * 32, sum[i][0]);
    _mm512_storeu_ps(tile + i * 32 + 16, sum[i][1]);
  }
}
#endif

KernelShape chooseKernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return {12, 32, runAvx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {6, 16, runAvx2};
#endif
  return {4, 16, runPlain<4, 16>};
}

int64_t ceilTo(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Columns [begin, end) of panel-wide slices of src [depth, n], zero-padded: dst
/// [n/panel][depth][panel].
void packColumns(MatrixView src, int64_t panel, float *dst) {
  for (int64_t j = 0; j < src.cols; j += panel) {
    int64_t width = std::min(panel, src.cols - j);
    for (int64_t k = 0; k < src.rows; ++k, dst += panel) {
      const float *from = src.data + k * src.rowStride + j * src.colStride;
      if (src.colStride == 1)
        std::copy(from, from + width, dst);
      else
        for (int64_t i = 0; i < width; ++i)
          dst[i] = from[i * src.colStride];
      std::fill(dst + width, dst + panel, 0.0f);
    }
  }
}

MatrixView block(MatrixView m, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  return {m.data + row * m.rowStride + col * m.colStride, rows, cols, m.rowStride, m.colStride};
}

/// The product, without the tiles that lie wholly left of the diagonal if `upperOnly`.
void product(MatrixView a, MatrixView b, float *c, int64_t stride, bool accumulate,
             bool upperOnly) {
  static const KernelShape kernel = chooseKernel();
  if (a.rows == 0 || b.cols == 0)
    return;
  if (a.cols == 0 && !accumulate)
    for (int64_t i = 0; i < a.rows; ++i)
      std::fill(c + i * stride, c + i * stride + b.cols, 0.0f);
  auto &pool = rt::ThreadPool::global();
  std::vector<float> packed(static_cast<size_t>(std::min(kDepth, a.cols) *
                                                ceilTo(std::min(kWidth, b.cols), kernel.cols)));
  for (int64_t jc = 0; jc < b.cols; jc += kWidth) {
    int64_t width = std::min(kWidth, b.cols - jc);
    for (int64_t kc = 0; kc < a.cols; kc += kDepth) {
      int64_t depth = std::min(kDepth, a.cols - kc);
      int64_t panels = (width + kernel.cols - 1) / kernel.cols;
      pool.parallelFor(panels, 8, [&](int64_t begin, int64_t end) {
        int64_t first = begin * kernel.cols, last = std::min(end * kernel.cols, width);
        packColumns(block(b, kc, depth, jc + first, last - first), kernel.cols,
                    packed.data() + first * depth);
      });
      int64_t blocks = (a.rows + kHeight - 1) / kHeight;
      pool.parallelFor(blocks, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> rows(static_cast<size_t>(ceilTo(kHeight, kernel.rows) * depth));
        alignas(64) float tile[kMaxTile];
        for (int64_t ic = begin * kHeight; ic < std::min(end * kHeight, a.rows); ic += kHeight) {
          int64_t height = std::min(kHeight, a.rows - ic);
          if (upperOnly && jc + width <= ic)
            continue;
          packColumns(block(a, ic, height, kc, depth).transposed(), kernel.rows, rows.data());
          for (int64_t j = 0; j < width; j += kernel.cols) {
            if (upperOnly && jc + j + kernel.cols <= ic)
              continue;
            int64_t w = std::min(kernel.cols, width - j);
            for (int64_t i = 0; i < height; i += kernel.rows) {
              kernel.run(depth, rows.data() + i * depth, packed.data() + j * depth, tile);
              int64_t h = std::min(kernel.rows, height - i);
              for (int64_t r = 0; r < h; ++r) {
                float *out = c + (ic + i + r) * stride + jc + j;
                const float *sum = tile + r * kernel.cols;
                if (kc == 0 && !accumulate)
                  std::copy(sum, sum + w, out);
                else
                  for (int64_t q = 0; q < w; ++q)
                    out[q] += sum[q];
              }
            }
          }
        }
      });
    }
  }
}

} // namespace

void gemm(MatrixView a, MatrixView b, float *c, int64_t stride, bool accumulate) {
  product(a, b, c, stride, accumulate, false);
}

void addGram(MatrixView x, double *gram) {
  Matrix sum(x.cols, x.cols);
  product(x.transposed(), x, sum.values.data(), x.cols, false, true);
  rt::ThreadPool::global().parallelFor(x.cols, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = i; j < x.cols; ++j)
        gram[i * x.cols + j] += sum(i, j);
  });
}

void mirror(double *gram, int64_t size) {
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < i; ++j)
      gram[i * size + j] = gram[j * size + i];
}

void addCross(MatrixView x, MatrixView y, double *cross) {
  Matrix sum = multiply(x.transposed(), y);
  for (size_t i = 0; i < sum.values.size(); ++i)
    cross[i] += sum.values[i];
}

} // namespace uoe::calibration
