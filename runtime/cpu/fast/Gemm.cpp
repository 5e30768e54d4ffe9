#include "Gemm.h"
#include "GemmBlock.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>

namespace uoe::rt::fast {

namespace {

/// Rows of a whose slivers a thread packs at once, and panels of b that stay in its L2 meanwhile.
constexpr int64_t blockSlivers = 12;
constexpr int64_t blockBytes = 384 << 10;

} // namespace

void finishBlock(const Product &g, int64_t m0, int64_t m, int64_t n0, int64_t n, const float *x,
                 int64_t ldx) {
  if (n <= 0)
    return;
  const Epilogue &e = g.epilogue;
  Finish f;
  f.m = m;
  f.n = n;
  f.x = x;
  f.ldx = ldx;
  f.alpha = e.alpha;
  f.bias = e.bias ? e.bias + n0 : nullptr;
  f.act = e.act;
  f.residual = e.residual ? e.residual + m0 * e.ldr + n0 : nullptr;
  f.ldr = e.ldr;
  f.residualScale = e.residualScale;
  f.c = g.c + m0 * g.ldc + n0;
  f.ldc = g.ldc;
  kernels().finish(f);
}

/// Products of up to mr rows with panels p0..p1 of b, through a tile of scratch where the result
/// cannot go straight to c. Packed rows need floats.
static void runTile(const Product &g, const Panels &b, Tile t, bool packed, int64_t m0, int64_t p0,
                    int64_t p1) {
  const Kernels &kernel = kernels();
  auto tile = [&](const Tile &t) { packed ? kernel.packedTile(t) : kernel.rowTile(t, b.type); };
  t.bk = b.stepK;
  t.bp = b.stepPanel;
  t.k = g.k;
  // Whole panels go to c directly unless something is still to be read there.
  bool direct = !g.epilogue.residual || g.epilogue.residual != g.c;
  int64_t whole = direct ? std::min(p1, g.n / 16) : p0;
  if (whole > p0) {
    t.panels = whole - p0;
    t.b = b.panel(p0);
    t.c = g.c + m0 * g.ldc + p0 * 16;
    t.ldc = g.ldc;
    tile(t);
    if (!g.plain())
      finishBlock(g, m0, t.m, p0 * 16, t.panels * 16, t.c, t.ldc);
  }
  float *buffer = scratch<float>(Scratch::Tile, maxTileRows * 16 * 16);
  for (int64_t p = std::max(whole, p0); p < p1; p += 16) {
    t.panels = std::min<int64_t>(16, p1 - p);
    t.b = b.panel(p);
    t.c = buffer;
    t.ldc = t.panels * 16;
    tile(t);
    finishBlock(g, m0, t.m, p * 16, std::min(t.panels * 16, g.n - p * 16), buffer, t.ldc);
  }
}

/// Panels p0..p1 as floats: in scratch, unless they are.
static Panels asFloats(const Product &g, int64_t p0, int64_t p1) {
  if (g.b.type == ElementType::F32)
    return g.b;
  const int64_t count = 16 * g.k, width = (p1 - p0) * 16;
  float *wide = scratch<float>(Scratch::Widened, (p1 - p0) * count);
  if (g.b.stepK != 16) { // rows, whose panels are side by side
    for (int64_t k = 0; k < g.k; ++k)
      kernels().widen(advance(g.b.panel(p0), g.b.type, k * g.b.stepK), g.b.type, width,
                      wide + k * width);
    return {reinterpret_cast<const char *>(wide), ElementType::F32, width, 16, p0};
  }
  for (int64_t p = p0; p < p1; ++p)
    kernels().widen(g.b.panel(p), g.b.type, count, wide + (p - p0) * count);
  return {reinterpret_cast<const char *>(wide), ElementType::F32, 16, count, p0};
}

void runBlock(const Product &g, int64_t m0, int64_t m1, int64_t p0, int64_t p1) {
  const int64_t mr = kernels().mr;
  const float *rows[maxTileRows];
  Tile t;
  if (m1 - m0 <= mr && g.stepK == 1) {
    for (int64_t r = m0; r < m1; ++r)
      rows[r - m0] = g.row(r);
    t.m = m1 - m0;
    t.rows = rows;
    return runTile(g, g.b, t, false, m0, p0, p1);
  }
  const int64_t block =
      std::max<int64_t>(1, std::min(p1 - p0, blockBytes / std::max<int64_t>(1, g.k * 16 * 4)));
  for (int64_t m = m0; m < m1;) {
    // Slivers of nearly equal height: a short last one would waste most of its loads of b.
    int64_t left = m1 - m, slivers = (left + mr - 1) / mr;
    int64_t now = std::min(slivers, blockSlivers);
    float *packed = scratch<float>(Scratch::RowPack, now * mr * g.k + 16);
    int64_t start[blockSlivers + 1];
    start[0] = m;
    for (int64_t s = 0; s < now; ++s) {
      int64_t height = (m1 - start[s] + slivers - s - 1) / (slivers - s);
      start[s + 1] = start[s] + height;
      g.packSliver(start[s], height, packed + s * mr * g.k);
    }
    for (int64_t p = p0; p < p1; p += block) {
      const int64_t end = std::min(p1, p + block);
      const Panels b = asFloats(g, p, end);
      for (int64_t s = 0; s < now; ++s) {
        t.m = start[s + 1] - start[s];
        t.a = packed + s * mr * g.k;
        runTile(g, b, t, true, start[s], p, end);
      }
    }
    m = start[now];
  }
}

void Product::packSliver(int64_t m, int64_t height, float *out) const {
  const Kernels &kernel = kernels();
  if (stepK == 1) {
    const float *rows[maxTileRows];
    for (int64_t r = 0; r < height; ++r)
      rows[r] = row(m + r);
    return kernel.packRows(rows, height, k, out);
  }
  for (int64_t i = 0; i < k; ++i, out += kernel.mr)
    for (int64_t r = 0; r < kernel.mr; ++r)
      out[r] = r < height ? a[(m + r) * stepM + i * stepK] : 0.0f;
}

void runProduct(const Product &g) {
  if (g.m <= 0 || g.n <= 0)
    return;
  ThreadPool &pool = ThreadPool::global();
  const int64_t panels = (g.n + 15) / 16, threads = pool.threads(), mr = kernels().mr;
  const double work = double(g.m) * double(g.n) * double(g.k);
  if (threads == 1 || work < 60e3)
    return runBlock(g, 0, g.m, 0, panels);
  // Threads share the rows where there are enough of them; otherwise, and for the rest, the panels.
  // Large products are cut finer than the threads are many: cores may differ, or have other work.
  const int64_t parts = work < 8e6 ? threads : 4 * threads;
  int64_t groups = std::min(parts, std::max<int64_t>(1, g.m / (4 * mr)));
  while (parts % groups)
    --groups;
  int64_t across = std::min(panels, parts / groups);
  pool.parallelFor(groups * across, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t r = i / across, s = i % across;
      runBlock(g, g.m * r / groups, g.m * (r + 1) / groups, panels * s / across,
               panels * (s + 1) / across);
    }
  });
}

namespace {
Product productOf(int64_t m, const PackedMatrix &b, float *c, int64_t ldc, const Epilogue &e) {
  Product g;
  g.m = m;
  g.n = b.n();
  g.k = b.k();
  g.b = Panels::of(b);
  g.c = c;
  g.ldc = ldc;
  g.epilogue = e;
  return g;
}
} // namespace

void gemm(const float *a, int64_t lda, int64_t m, const PackedMatrix &b, float *c, int64_t ldc,
          const Epilogue &epilogue) {
  Product g = productOf(m, b, c, ldc, epilogue);
  g.a = a;
  g.stepM = lda;
  runProduct(g);
}

void gemmRows(const float *const *rows, int64_t m, const PackedMatrix &b, float *c, int64_t ldc,
              const Epilogue &epilogue) {
  Product g = productOf(m, b, c, ldc, epilogue);
  g.rows = rows;
  runProduct(g);
}

} // namespace uoe::rt::fast
