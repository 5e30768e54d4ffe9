// Products of two run-time operands: the right one is packed into scratch where enough rows use it.
#include "GemmBlock.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Rows of a up to which packing b costs more than it saves.
constexpr int64_t fewRows = 4;

struct Operand {
  const float *data;
  int64_t ld;
  bool transposed;
};

/// Panels p0..p1 of b [k, n] into out, ceil(n / 16) panels of [k][16].
void packInto(const Operand &b, int64_t k, int64_t n, int64_t p0, int64_t p1, float *out) {
  for (int64_t p = p0; p < p1; ++p) {
    int64_t width = std::min<int64_t>(16, n - p * 16);
    float *panel = out + p * 16 * k;
    if (b.transposed) {
      const float *columns[16];
      for (int64_t j = 0; j < width; ++j)
        columns[j] = b.data + (p * 16 + j) * b.ld;
      kernels().packPanel(columns, width, k, panel);
      continue;
    }
    const float *from = b.data + p * 16;
    for (int64_t i = 0; i < k; ++i, from += b.ld, panel += 16) {
      std::memcpy(panel, from, static_cast<size_t>(width) * sizeof(float));
      std::memset(panel + width, 0, static_cast<size_t>(16 - width) * sizeof(float));
    }
  }
}

/// Threads pay for themselves from about this many multiply-adds on.
bool worthThreads(double work) {
  return work >= 60e3;
}

/// A few rows times transposed b: rows of b are read once, as they lie.
void dotProduct(Product &g, const Operand &b) {
  float *sums = scratch<float>(Scratch::Panels, g.m * g.n);
  auto part = [&](int64_t begin, int64_t end) {
    kernels().dots(g.m, end - begin, g.k, g.a, g.stepM, b.data + begin * b.ld, b.ld, sums + begin,
                   g.n);
    Finish f;
    f.m = g.m;
    f.n = end - begin;
    f.x = sums + begin;
    f.ldx = g.n;
    f.alpha = g.epilogue.alpha;
    f.residual = g.epilogue.residual ? g.c + begin : nullptr;
    f.ldr = g.ldc;
    f.residualScale = g.epilogue.residualScale;
    f.c = g.c + begin;
    f.ldc = g.ldc;
    kernels().finish(f);
  };
  if (worthThreads(double(g.m) * double(g.n) * double(g.k)))
    ThreadPool::global().parallelFor(g.n, 16, part);
  else
    part(0, g.n);
}

/// Keeps the packed form of the last right operand: broadcast batches use it again.
struct PackedOnce {
  const float *of = nullptr;
  float *panels = nullptr;
};

void product(int64_t m, int64_t n, int64_t k, const Operand &a, const Operand &b, float *c,
             int64_t ldc, float alpha, float beta, PackedOnce &kept) {
  if (m <= 0 || n <= 0)
    return;
  Product g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data;
  g.stepM = a.transposed ? 1 : a.ld;
  g.stepK = a.transposed ? a.ld : 1;
  g.c = c;
  g.ldc = ldc;
  g.epilogue.alpha = alpha;
  if (beta != 0.0f) {
    g.epilogue.residual = c;
    g.epilogue.ldr = ldc;
    g.epilogue.residualScale = beta;
  }
  if (m <= fewRows && b.transposed && g.stepK == 1)
    return dotProduct(g, b);
  int64_t whole = 0;
  if (m <= fewRows && !b.transposed) {
    whole = n / 16 * 16;
    g.n = whole;
    g.b = {reinterpret_cast<const char *>(b.data), ElementType::F32, b.ld, 16, 0};
    runProduct(g);
    if (whole == n)
      return;
  }
  // The rest, or all: through packed panels.
  Operand rest = b;
  if (k > 0) // else there may be no data
    rest.data += b.transposed ? whole * b.ld : whole;
  g.n = n - whole;
  g.c += whole;
  if (g.epilogue.residual)
    g.epilogue.residual = g.c;
  int64_t panels = (g.n + 15) / 16;
  if (kept.of != rest.data) {
    kept.panels = scratch<float>(Scratch::Panels, panels * 16 * std::max<int64_t>(k, 1));
    kept.of = rest.data;
    if (worthThreads(double(g.n) * double(k) * 4))
      ThreadPool::global().parallelFor(panels, 2, [&](int64_t begin, int64_t end) {
        packInto(rest, k, g.n, begin, end, kept.panels);
      });
    else
      packInto(rest, k, g.n, 0, panels, kept.panels);
  }
  g.b = {reinterpret_cast<const char *>(kept.panels), ElementType::F32, 16, 16 * k, 0};
  runProduct(g);
}

} // namespace

void gemmUnpacked(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA,
                  const float *b, int64_t ldb, bool transB, float *c, int64_t ldc, float alpha,
                  float beta) {
  PackedOnce kept;
  product(m, n, k, {a, lda, transA}, {b, ldb, transB}, c, ldc, alpha, beta, kept);
}

void gemmBatched(int64_t batch, const BatchOffsets &offsets, int64_t m, int64_t n, int64_t k,
                 const float *a, int64_t lda, bool transA, const float *b, int64_t ldb, bool transB,
                 float *c, int64_t ldc, float alpha, float beta) {
  ThreadPool &pool = ThreadPool::global();
  auto part = [&](int64_t begin, int64_t end) {
    PackedOnce kept;
    for (int64_t i = begin; i < end; ++i)
      product(m, n, k, {a + offsets.a[i], lda, transA}, {b + offsets.b[i], ldb, transB},
              c + offsets.c[i], ldc, alpha, beta, kept);
  };
  double work = double(m) * double(n) * double(k);
  if (batch >= pool.threads() && worthThreads(work * double(batch)))
    pool.parallelFor(batch, 1, part);
  else
    part(0, batch);
}

} // namespace uoe::rt::fast
