// Tokens are grouped by expert, and each expert multiplies its own rows of x, found through
// pointers. The threads share blocks of output columns, for which all experts add to the tokens'
// rows in ascending order: no partial results are written, and no weight is read twice.
#include "Products.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Tokens that are grouped at once; their sums of a block of columns stay in L2.
constexpr int64_t tileTokens = 1024;
/// Panels of a block of columns.
constexpr int64_t mostPanels = 16;

struct Job {
  const PackedProducts &block;
  const float *x;
  int64_t ldx;
  const Routing &routing;
  float *y;
  int64_t ldy;
  const FfnEpilogue &epilogue;
};

/// The tokens t0 .. t0 + tokens by expert, ascending, in scratch of the thread that made it.
struct Grouped {
  int64_t t0 = 0, tokens = 0;
  int64_t *first = nullptr; // [experts + 1] into the lists
  int32_t *token = nullptr; // counted from t0
  float *weight = nullptr;  // or null
};

Grouped group(const Job &job, int64_t t0, int64_t t1) {
  const int64_t n = job.block.experts, *offsets = job.routing.offsets;
  const int64_t entries = offsets[t1] - offsets[t0];
  Grouped tile;
  tile.t0 = t0;
  tile.tokens = t1 - t0;
  tile.first =
      reinterpret_cast<int64_t *>(scratch<char>(Scratch::Routing, 8 * (2 * n + 1 + entries)));
  int64_t *next = tile.first + n + 1;
  tile.token = reinterpret_cast<int32_t *>(next + n);
  tile.weight = job.routing.weights ? reinterpret_cast<float *>(tile.token + entries) : nullptr;
  std::memset(tile.first, 0, static_cast<size_t>(n + 1) * sizeof(int64_t));
  for (int64_t i = offsets[t0]; i < offsets[t1]; ++i) {
    const int32_t e = job.routing.ids[i];
    check(e >= 0 && e < n, "experts: chosen expert ", e, " of ", n);
    ++tile.first[e + 1];
  }
  for (int64_t e = 0; e < n; ++e)
    tile.first[e + 1] += tile.first[e];
  std::memcpy(next, tile.first, static_cast<size_t>(n) * sizeof(int64_t));
  for (int64_t t = t0; t < t1; ++t)
    for (int64_t i = offsets[t]; i < offsets[t + 1]; ++i) {
      const int64_t to = next[job.routing.ids[i]]++;
      tile.token[to] = static_cast<int32_t>(t - t0);
      if (tile.weight)
        tile.weight[to] = job.routing.weights[i];
    }
  return tile;
}

/// Panels p0..p1 of the outputs of a head.
void outputs(const Job &job, const Grouped &tile, int64_t head, int64_t p0, int64_t p1) {
  const PackedProducts &block = job.block;
  const Kernels &kernel = kernels();
  const int64_t width = (p1 - p0) * 16, padded = block.panels() * 16;
  float *sums = scratch<float>(Scratch::Output, tile.tokens * width);
  std::memset(sums, 0, static_cast<size_t>(tile.tokens * width) * sizeof(float));
  const float *rows[maxTileRows];
  Tile product;
  product.k = block.in;
  product.rows = rows;
  product.bk = 16;
  product.bp = 16 * block.in;
  product.panels = p1 - p0;
  product.c = scratch<float>(Scratch::Tile, maxTileRows * mostPanels * 16);
  product.ldc = width;
  AddTile add;
  add.n = width;
  add.x = product.c;
  add.ldx = width;
  add.y = sums;
  add.ldy = width;
  const int64_t each = block.experts / block.outHeads, perInput = block.experts / block.inHeads;
  for (int64_t e = head * each; e < (head + 1) * each; ++e) {
    const int64_t count = tile.first[e + 1] - tile.first[e];
    const int64_t slivers = (count + kernel.mr - 1) / kernel.mr;
    const float *x = job.x + tile.t0 * job.ldx + e / perInput * block.in;
    product.b = block.panel(e, p0);
    add.bias = block.bias.empty() ? nullptr : block.bias.data() + e * padded + p0 * 16;
    for (int64_t s = 0; s < slivers; ++s) {
      const int64_t r0 = tile.first[e] + count * s / slivers,
                    r1 = tile.first[e] + count * (s + 1) / slivers;
      product.m = add.m = r1 - r0;
      add.rows = tile.token + r0;
      add.weight = tile.weight ? tile.weight + r0 : nullptr;
      for (int64_t r = 0; r < add.m; ++r)
        rows[r] = x + add.rows[r] * job.ldx;
      kernel.rowTile(product);
      kernel.addTile(add);
    }
  }
  Finish f;
  f.m = tile.tokens;
  f.n = std::min(width, block.out - p0 * 16);
  f.x = sums;
  f.ldx = width;
  const int64_t column = head * block.out + p0 * 16;
  const FfnEpilogue &e = job.epilogue;
  f.residual = e.residual ? e.residual + tile.t0 * e.ldr + column : nullptr;
  f.ldr = e.ldr;
  f.residualScale = e.residualScale;
  f.c = job.y + tile.t0 * job.ldy + column;
  f.ldc = job.ldy;
  kernel.finish(f);
}

} // namespace

PackedProducts::PackedProducts(const ProductSource &s)
    : in(s.in), out(s.out), experts(s.experts), inHeads(s.splitInput ? s.heads : 1),
      outHeads(s.splitInput ? 1 : s.heads) {
  check(s.in >= 0 && s.out >= 0 && s.experts >= 0, "experts: negative size");
  check(s.heads >= 1 && s.experts % s.heads == 0, "experts: ", s.heads, " heads of ", s.experts,
        " experts");
  const int64_t padded = panels() * 16;
  weights = Buffer(static_cast<size_t>(experts * padded * in) * sizeof(float));
  ThreadPool::global().parallelFor(experts * panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float *to = weights.as<float>() + i * in * 16;
      const int64_t j0 = i % panels() * 16, columns = std::min<int64_t>(16, out - j0);
      const float *from = s.weight + i / panels() * s.stepExpert + j0 * s.stepOut;
      for (int64_t k = 0; k < in; ++k)
        for (int64_t j = 0; j < columns; ++j)
          to[k * 16 + j] = from[k * s.stepIn + j * s.stepOut];
    }
  });
  if (!s.bias)
    return;
  bias.resize(static_cast<size_t>(experts * padded));
  for (int64_t e = 0; e < experts; ++e)
    std::copy(s.bias + e * out, s.bias + (e + 1) * out, bias.begin() + e * padded);
}

void products(const PackedProducts &block, const float *x, int64_t ldx, int64_t tokens,
              const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue) {
  if (tokens <= 0 || block.outWidth() == 0)
    return;
  const Job job{block, x, ldx, routing, y, ldy, epilogue};
  ThreadPool &pool = ThreadPool::global();
  const int64_t panels = block.panels(), threads = pool.threads();
  for (int64_t t0 = 0; t0 < tokens; t0 += tileTokens) {
    const int64_t t1 = std::min(tokens, t0 + tileTokens);
    const Grouped tile = group(job, t0, t1);
    const double work =
        double(routing.offsets[t1] - routing.offsets[t0]) * double(block.in) * double(block.out);
    // Blocks are even in number of panels, of which a tile takes two, and about two for each
    // thread.
    const int64_t wanted = work < 60e3 ? 1 : (tokens <= 4 ? 1 : 2) * threads;
    const int64_t perHead = std::max<int64_t>(1, wanted / block.outHeads);
    const int64_t step = std::min(mostPanels, ((panels + perHead - 1) / perHead + 1) / 2 * 2);
    const int64_t pieces = (panels + step - 1) / step;
    auto run = [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        outputs(job, tile, i / pieces, i % pieces * step,
                std::min(panels, (i % pieces + 1) * step));
    };
    if (work < 60e3)
      run(0, block.outHeads * pieces);
    else
      pool.parallelFor(block.outHeads * pieces, 1, run);
  }
}

} // namespace uoe::rt::fast
