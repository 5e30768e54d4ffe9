#include "Neurons.h"
#include "Isa.h"
#include "Panels.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Tokens whose inputs stay in L2 while all neurons pass by.
constexpr int64_t tileTokens = 128;
/// Up to here the threads share the neurons and columns of a tile; beyond, each takes tiles.
constexpr int64_t sharedTokens = 256;
constexpr int64_t columns = PackedNeurons::columns; // summed at a time in registers
/// Panels of weights are taken from so many tokens on, between these shares of pairs.
constexpr int64_t panelTokens = 16;
constexpr double panelLeast = 0.08, panelShare = 0.75;
/// Beyond this share their way up is dense, whose dot products gain less with AVX2.
double denseUpShare() {
  return isa() == Isa::Avx512 ? 0.35 : 0.7;
}

struct Job {
  const PackedNeurons &block;
  const float *x;
  int64_t ldx;
  const Routing &routing;
  float *y;
  int64_t ldy;
};

/// The chosen pairs of some tokens. Pairs lie by token, in the order of its experts and their
/// neurons; the same expert by expert in the lists.
struct Pairs {
  int64_t t0 = 0, tokens = 0, count = 0;
  int64_t *tokenFirst = nullptr; // [tokens + 1]
  int32_t *neuron = nullptr;     // [count]
  float *h = nullptr;            // [count]
  int64_t *first = nullptr;      // [experts + 1] into the lists
  int64_t *at = nullptr;         // the first pair of an expert's entry
  int32_t *token = nullptr;
  float *weight = nullptr; // or null
};

int64_t sizeOf(const PackedNeurons &block, int64_t e) {
  return block.starts[size_t(e) + 1] - block.starts[size_t(e)];
}

int64_t countPairs(const Job &job, int64_t t0, int64_t t1) {
  int64_t count = 0;
  for (int64_t i = job.routing.offsets[t0]; i < job.routing.offsets[t1]; ++i) {
    int32_t e = job.routing.ids[i];
    check(e >= 0 && e < job.block.experts(), "experts: chosen expert ", e, " of ",
          job.block.experts());
    count += sizeOf(job.block, e);
  }
  return count;
}

Pairs makePairs(const Job &job, int64_t t0, int64_t t1) {
  const int64_t n = job.block.experts(), tokens = t1 - t0;
  const int64_t *offsets = job.routing.offsets;
  const int64_t entries = offsets[t1] - offsets[t0];
  Pairs p;
  p.t0 = t0;
  p.tokens = tokens;
  p.count = countPairs(job, t0, t1);
  char *memory = scratch<char>(Scratch::Routing, 8 * (tokens + 2 * n + 3 + entries) + 8 * entries);
  p.tokenFirst = reinterpret_cast<int64_t *>(memory);
  p.first = p.tokenFirst + tokens + 1;
  int64_t *next = p.first + n + 1;
  p.at = next + n + 1;
  p.token = reinterpret_cast<int32_t *>(p.at + entries);
  p.weight = job.routing.weights ? reinterpret_cast<float *>(p.token + entries) : nullptr;
  p.h = scratch<float>(Scratch::Hidden, 2 * p.count);
  p.neuron = reinterpret_cast<int32_t *>(p.h + p.count);
  std::memset(p.first, 0, static_cast<size_t>(n + 1) * sizeof(int64_t));
  for (int64_t i = offsets[t0]; i < offsets[t1]; ++i)
    ++p.first[job.routing.ids[i] + 1];
  for (int64_t e = 0; e < n; ++e)
    p.first[e + 1] += p.first[e];
  std::memcpy(next, p.first, static_cast<size_t>(n) * sizeof(int64_t));
  int64_t pair = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    p.tokenFirst[t] = pair;
    for (int64_t i = offsets[t0 + t]; i < offsets[t0 + t + 1]; ++i) {
      const int32_t e = job.routing.ids[i];
      const int64_t to = next[e]++;
      p.token[to] = static_cast<int32_t>(t);
      p.at[to] = pair;
      if (p.weight)
        p.weight[to] = job.routing.weights[i];
      for (int64_t j = job.block.starts[size_t(e)]; j < job.block.starts[size_t(e) + 1]; ++j)
        p.neuron[pair++] = static_cast<int32_t>(j);
    }
  }
  p.tokenFirst[tokens] = pair;
  return p;
}

/// Hidden units of the experts e0..e1.
void hiddenUnits(const Job &job, const Pairs &p, int64_t e0, int64_t e1) {
  const PackedNeurons &block = job.block;
  const Kernels &kernel = kernels();
  const int64_t room = p.tokens * static_cast<int64_t>(sizeof(float *) + 2 * sizeof(float));
  const float **rows = reinterpret_cast<const float **>(scratch<char>(Scratch::Rows, room));
  float *u = reinterpret_cast<float *>(rows + p.tokens), *g = u + p.tokens;
  ListDots dots;
  dots.n = block.in;
  dots.rows = rows;
  auto product = [&](const float *row, const std::vector<float> &bias, int64_t j, float *to) {
    dots.b = row;
    dots.out = to;
    kernel.listDots(dots);
    for (int64_t i = 0; !bias.empty() && i < dots.m; ++i)
      to[i] += bias[static_cast<size_t>(j)];
  };
  for (int64_t e = e0; e < e1; ++e) {
    const int64_t from = p.first[e], start = block.starts[size_t(e)];
    dots.m = p.first[e + 1] - from;
    if (dots.m == 0)
      continue;
    for (int64_t i = 0; i < dots.m; ++i)
      rows[i] = job.x + (p.t0 + p.token[from + i]) * job.ldx;
    for (int64_t j = start; j < block.starts[size_t(e) + 1]; ++j) {
      product(block.upRow(j), block.upBias, j, u);
      if (block.gated) {
        product(block.gateRow(j), block.gateBias, j, g);
        applyCut(block.cut, g, u, dots.m);
        kernel.gated(block.act, g, u, u, dots.m);
      } else {
        kernel.activation(block.act, u, u, dots.m);
      }
      for (int64_t i = 0; i < dots.m; ++i)
        p.h[p.at[from + i] + j - start] = p.weight ? u[i] * p.weight[from + i] : u[i];
    }
  }
}

/// y of a tile's tokens begins as the bias and, with skip vectors, all of them less the chosen
/// ones.
void startRow(const Job &job, int64_t t, int64_t c0, int64_t n, const float *minusOnes) {
  float *y = job.y + t * job.ldy + c0;
  std::memcpy(y, job.block.base.data() + c0, static_cast<size_t>(n) * sizeof(float));
  if (job.block.skip.empty())
    return;
  ListSum s;
  s.n = n;
  s.index = job.routing.ids + job.routing.offsets[t];
  s.count = job.routing.offsets[t + 1] - job.routing.offsets[t];
  s.a = minusOnes;
  s.b = job.block.skip.data() + c0;
  s.ldb = job.block.outPadded();
  s.c = y;
  kernels().listSum(s);
}

std::vector<float> minusOnes(const Job &job) {
  return std::vector<float>(job.block.skip.empty() ? 0 : static_cast<size_t>(job.block.experts()),
                            -1.0f);
}

/// Blocks of columns b0..b1.
void outputs(const Job &job, const Pairs &p, int64_t b0, int64_t b1, const float *minus) {
  const Kernels &kernel = kernels();
  ListSum s;
  s.ldb = columns;
  for (int64_t b = b0; b < b1; ++b) {
    const int64_t c0 = b * columns;
    s.n = std::min(columns, job.block.out - c0);
    s.b = job.block.downBlock(b);
    for (int64_t t = 0; t < p.tokens; ++t) {
      startRow(job, p.t0 + t, c0, s.n, minus);
      s.index = p.neuron + p.tokenFirst[t];
      s.a = p.h + p.tokenFirst[t];
      s.count = p.tokenFirst[t + 1] - p.tokenFirst[t];
      s.c = job.y + (p.t0 + t) * job.ldy + c0;
      kernel.listSum(s);
    }
  }
}

/// The threads share the experts on the way up, the columns on the way down.
void runShared(const Job &job, int64_t t0, int64_t t1) {
  ThreadPool &pool = ThreadPool::global();
  const std::vector<float> minus = minusOnes(job);
  Pairs p = makePairs(job, t0, t1);
  const int64_t n = job.block.experts(), pieces = 4 * pool.threads();
  // bounds[i]: the first expert of piece i; pieces have about the same number of pairs.
  std::vector<int64_t> bounds(static_cast<size_t>(pieces) + 1, n);
  bounds[0] = 0;
  for (int64_t e = 0, piece = 1, done = 0; e < n; ++e) {
    done += (p.first[e + 1] - p.first[e]) * sizeOf(job.block, e);
    while (piece < pieces && done >= p.count * piece / pieces)
      bounds[size_t(piece++)] = e + 1;
  }
  auto up = [&](int64_t begin, int64_t end) {
    hiddenUnits(job, p, bounds[size_t(begin)], bounds[size_t(end)]);
  };
  auto down = [&](int64_t begin, int64_t end) { outputs(job, p, begin, end, minus.data()); };
  if (double(p.count) * double(job.block.in) < 60e3) {
    up(0, pieces);
    down(0, job.block.columnBlocks());
    return;
  }
  pool.parallelFor(pieces, 1, up);
  pool.parallelFor(job.block.columnBlocks(), 1, down);
}

/// The hidden units of a tile of tokens, those not chosen 0. Rows are no multiple of a page apart,
/// so that those of a tile do not compete for the same lines of L1.
struct Units {
  int64_t t0 = 0, tokens = 0, ld = 0;
  float *h = nullptr, *gate = nullptr; // [tokens][ld]; gate null without gates
  /// The tokens in slivers of up to mr for the way down, each [hidden][mr]; null where there is
  /// one, which meets each weight once.
  float *packed = nullptr;
  int64_t slivers = 0, packedStep = 0;

  int64_t sliver(int64_t s) const { return tokens * s / slivers; } // its first token
};

Units makeUnits(const Job &job, int64_t t0, int64_t t1) {
  Units u;
  u.t0 = t0;
  u.tokens = t1 - t0;
  u.ld = (job.block.hidden + 15) / 16 * 16 + 16;
  u.h = scratch<float>(Scratch::Hidden, u.tokens * u.ld * (job.block.gated ? 2 : 1));
  u.gate = job.block.gated ? u.h + u.tokens * u.ld : nullptr;
  const int64_t mr = kernels().mr;
  u.slivers = (u.tokens + mr - 1) / mr;
  u.packedStep = job.block.hidden * mr + 16;
  if (u.slivers > 1)
    u.packed = scratch<float>(Scratch::RowPack, u.slivers * u.packedStep);
  return u;
}

/// Slivers s0..s1 of the finished units.
void packUnits(const Job &job, const Units &u, int64_t s0, int64_t s1) {
  const float *rows[maxTileRows];
  for (int64_t s = s0; u.packed && s < s1; ++s) {
    const int64_t first = u.sliver(s), count = u.sliver(s + 1) - first;
    for (int64_t r = 0; r < count; ++r)
      rows[r] = u.h + (first + r) * u.ld;
    kernels().packRows(rows, count, job.block.hidden, u.packed + s * u.packedStep);
  }
}

/// Neurons j0..j1 for all tokens.
void denseUnits(const Job &job, const Units &units, int64_t j0, int64_t j1) {
  const PackedNeurons &block = job.block;
  const Kernels &kernel = kernels();
  const int64_t n = j1 - j0;
  if (n <= 0)
    return;
  char *room = scratch<char>(Scratch::Rows, units.tokens * 8 + n * 4);
  const float **rows = reinterpret_cast<const float **>(room);
  float *all = reinterpret_cast<float *>(rows + units.tokens);
  for (int64_t t = 0; t < units.tokens; ++t)
    rows[t] = job.x + (units.t0 + t) * job.ldx;
  auto product = [&](const float *from, const std::vector<float> &bias, float *to) {
    DotTile d;
    d.m = units.tokens;
    d.n = n;
    d.k = block.in;
    d.rows = rows;
    d.b = from;
    d.ldb = block.inPadded();
    d.c = to + j0;
    d.ldc = units.ld;
    kernel.dotTile(d);
    for (int64_t t = 0; !bias.empty() && t < units.tokens; ++t)
      for (int64_t j = j0; j < j1; ++j)
        to[t * units.ld + j] += bias[static_cast<size_t>(j)];
  };
  product(block.upRow(j0), block.upBias, units.h);
  if (block.gated)
    product(block.gateRow(j0), block.gateBias, units.gate);
  for (int64_t t = 0; t < units.tokens; ++t) {
    float *h = units.h + t * units.ld + j0;
    if (block.gated) {
      applyCut(block.cut, units.gate + t * units.ld + j0, h, n);
      kernel.gated(block.act, units.gate + t * units.ld + j0, h, h, n);
    } else {
      kernel.activation(block.act, h, h, n);
    }
    // What is not chosen counts as 0 even where it is not finite.
    std::memcpy(all, h, static_cast<size_t>(n) * sizeof(float));
    std::memset(h, 0, static_cast<size_t>(n) * sizeof(float));
    const int64_t *offsets = job.routing.offsets + units.t0 + t;
    for (int64_t i = offsets[0]; i < offsets[1]; ++i) {
      const size_t e = static_cast<size_t>(job.routing.ids[i]);
      const float weight = job.routing.weights ? job.routing.weights[i] : 1.0f;
      const int64_t from = std::max(block.starts[e], j0), to = std::min(block.starts[e + 1], j1);
      for (int64_t j = from - j0; j < to - j0; ++j)
        h[j] = all[j] * weight;
    }
  }
}

/// Blocks of columns b0..b1, in the chains of outputs(): what is not chosen adds 0.
void denseOutputs(const Job &job, const Units &units, int64_t b0, int64_t b1, const float *minus) {
  const PackedNeurons &block = job.block;
  const Kernels &kernel = kernels();
  float buffer[maxTileRows * columns];
  const float *rows[maxTileRows];
  Tile tile;
  tile.k = block.hidden;
  tile.rows = rows;
  tile.bk = columns;
  tile.bp = 16;
  tile.c = buffer;
  tile.ldc = columns;
  tile.accumulate = true;
  for (int64_t b = b0; b < b1; ++b) {
    const int64_t c0 = b * columns, n = std::min(columns, block.out - c0);
    const size_t bytes = static_cast<size_t>(n) * sizeof(float);
    tile.b = block.downBlock(b);
    tile.panels = (n + 15) / 16;
    for (int64_t s = 0; s < units.slivers; ++s) {
      const int64_t r0 = units.sliver(s);
      tile.m = units.sliver(s + 1) - r0;
      tile.a = units.packed ? units.packed + s * units.packedStep : nullptr;
      std::memset(buffer, 0, sizeof(buffer));
      for (int64_t r = 0; r < tile.m; ++r) {
        const int64_t t = units.t0 + r0 + r;
        startRow(job, t, c0, n, minus);
        rows[r] = units.h + (r0 + r) * units.ld;
        std::memcpy(buffer + r * columns, job.y + t * job.ldy + c0, bytes);
      }
      units.packed ? kernel.packedTile(tile) : kernel.rowTile(tile);
      for (int64_t r = 0; r < tile.m; ++r)
        std::memcpy(job.y + (units.t0 + r0 + r) * job.ldy + c0, buffer + r * columns, bytes);
    }
  }
}

/// runShared with dense products.
void runDenseShared(const Job &job, int64_t t0, int64_t t1) {
  ThreadPool &pool = ThreadPool::global();
  const std::vector<float> minus = minusOnes(job);
  const Units units = makeUnits(job, t0, t1);
  const int64_t pieces = std::min<int64_t>(4 * pool.threads(), (job.block.hidden + 63) / 64);
  pool.parallelFor(pieces, 1, [&](int64_t begin, int64_t end) {
    denseUnits(job, units, job.block.hidden * begin / pieces, job.block.hidden * end / pieces);
  });
  pool.parallelFor(units.slivers, 1,
                   [&](int64_t begin, int64_t end) { packUnits(job, units, begin, end); });
  pool.parallelFor(job.block.columnBlocks(), 1, [&](int64_t begin, int64_t end) {
    denseOutputs(job, units, begin, end, minus.data());
  });
}

/// The chosen pairs of a tile of tokens, panel by panel of `rows` neurons: those of panel q and
/// token t are start[q * tokens + t] .. start[q * tokens + t + 1].
struct PanelPairs {
  int64_t rows = panelFloats() < 8192 ? 32 : 48;
  int64_t t0 = 0, tokens = 0, panels = 0, count = 0;
  int32_t *start = nullptr;
  int32_t *neuron = nullptr; // [count]
  float *weight = nullptr;   // [count] or null
  float *h = nullptr;        // [count]
  float *gate = nullptr;     // [count] or null
  float *x = nullptr;        // [tokens][ldx], rows no multiple of a page apart
  int64_t ldx = 0;
  int64_t k = 0; // floats of a row of up that are in L1 at a time

  int64_t first(int64_t q) const { return start[q * tokens]; }
};

PanelPairs makePanelPairs(const Job &job, int64_t t0, int64_t t1) {
  const PackedNeurons &block = job.block;
  const int64_t *offsets = job.routing.offsets, in = block.inPadded();
  PanelPairs p;
  p.t0 = t0;
  p.tokens = t1 - t0;
  p.panels = (block.hidden + p.rows - 1) / p.rows;
  p.count = countPairs(job, t0, t1);
  p.ldx = in + 16;
  const int64_t longest = panelFloats() / p.rows;
  const int64_t pieces = std::max<int64_t>(1, (in + longest - 1) / longest);
  p.k = ((in + pieces - 1) / pieces + 15) / 16 * 16;
  const bool weighted = job.routing.weights;
  const int64_t cells = p.tokens * p.panels;
  float *memory = scratch<float>(Scratch::Work, p.tokens * p.ldx + cells + 1 + p.tokens +
                                                    p.count * (2 + weighted + block.gated));
  p.x = memory;
  p.start = reinterpret_cast<int32_t *>(p.x + p.tokens * p.ldx);
  p.neuron = p.start + cells + 1;
  p.h = reinterpret_cast<float *>(p.neuron + p.count);
  p.weight = weighted ? p.h + p.count : nullptr;
  p.gate = block.gated ? p.h + p.count * (1 + weighted) : nullptr;
  for (int64_t t = 0; t < p.tokens; ++t) {
    float *x = p.x + t * p.ldx;
    std::memcpy(x, job.x + (t0 + t) * job.ldx, static_cast<size_t>(block.in) * sizeof(float));
    std::memset(x + block.in, 0, static_cast<size_t>(p.ldx - block.in) * sizeof(float));
  }
  // The ascending neurons of each token, its experts where those are single neurons; where they
  // pass from panel to panel; and from there the runs into their places.
  const int32_t *ids = job.routing.ids + offsets[t0];
  const float *weights = weighted ? job.routing.weights + offsets[t0] : nullptr;
  const bool single = block.experts() == block.hidden && p.count == offsets[t1] - offsets[t0];
  const int64_t bounds = p.tokens * (p.panels + 1), expanded = single ? 0 : p.count;
  int32_t *bound = scratch<int32_t>(Scratch::Routing, bounds + expanded * (1 + weighted));
  if (!single) {
    int32_t *neuron = bound + bounds;
    float *weight = reinterpret_cast<float *>(neuron + expanded);
    for (int64_t i = 0, to = 0; i < offsets[t1] - offsets[t0]; ++i)
      for (int64_t j = block.starts[size_t(ids[i])]; j < block.starts[size_t(ids[i]) + 1]; ++j) {
        if (weighted)
          weight[to] = weights[i];
        neuron[to++] = static_cast<int32_t>(j);
      }
    ids = neuron;
    weights = weight;
  }
  for (int64_t t = 0, i = 0; t < p.tokens; ++t) {
    const int64_t end =
        single ? offsets[t0 + t + 1] - offsets[t0] : i + countPairs(job, t0 + t, t0 + t + 1);
    for (int64_t q = 0; q < p.panels; ++q) {
      bound[t * (p.panels + 1) + q] = static_cast<int32_t>(i);
      while (i < end && ids[i] < (q + 1) * p.rows)
        ++i;
    }
    bound[t * (p.panels + 1) + p.panels] = static_cast<int32_t>(i);
  }
  int64_t to = 0;
  for (int64_t q = 0; q < p.panels; ++q)
    for (int64_t t = 0; t < p.tokens; ++t) {
      const int32_t *from = bound + t * (p.panels + 1) + q;
      p.start[q * p.tokens + t] = static_cast<int32_t>(to);
      for (int32_t i = from[0]; i < from[1]; ++i, ++to) {
        p.neuron[to] = ids[i];
        if (weighted)
          p.weight[to] = weights[i];
      }
    }
  p.start[cells] = static_cast<int32_t>(to);
  return p;
}

/// Hidden units of the chosen neurons of panels q0..q1.
void panelUnits(const Job &job, const PanelPairs &p, int64_t q0, int64_t q1) {
  const PackedNeurons &block = job.block;
  const Kernels &kernel = kernels();
  constexpr int64_t together = 16; // tokens between two requests for the next panel
  const int64_t in = block.inPadded(), parts = (p.tokens + together - 1) / together;
  float *rows = scratch<float>(Scratch::Stripe, p.rows * p.k);
  float *sums = scratch<float>(Scratch::Sums, p.tokens * p.rows * 16);
  auto products = [&](int64_t q, const float *b, const std::vector<float> &bias, float *out) {
    const int64_t j0 = q * p.rows, n = std::min(p.rows, block.hidden - j0);
    PairTile d;
    d.ldx = p.ldx;
    d.lds = 1;
    d.index = p.neuron;
    d.b = rows;
    d.first = static_cast<int32_t>(j0);
    d.out = out;
    for (int64_t k0 = 0; k0 < in; k0 += p.k) {
      d.k = std::min(p.k, in - k0);
      d.begins = k0 == 0;
      d.ends = k0 + d.k == in;
      copyRows(b + k0, ElementType::F32, in, n, d.k, rows, d.k);
      for (int64_t i = 0; i < parts; ++i) {
        if (!d.ends)
          fetchRows(b + k0 + d.k, ElementType::F32, in, n, std::min(p.k, in - k0 - d.k), i, parts);
        else if (j0 + n < block.hidden)
          fetchRows(b + n * in, ElementType::F32, in, std::min(p.rows, block.hidden - j0 - n), p.k,
                    i, parts);
        const int64_t r = i * together;
        d.m = std::min(together, p.tokens - r);
        d.x = p.x + r * p.ldx + k0;
        d.start = p.start + q * p.tokens + r;
        d.sums = sums + (d.start[0] - p.first(q)) * 16;
        kernel.pairTile(d);
      }
    }
    for (int64_t i = p.first(q); !bias.empty() && i < p.first(q + 1); ++i)
      out[i] += bias[static_cast<size_t>(p.neuron[i])];
  };
  // Where many are chosen all are multiplied, which loads less, and the chosen taken out.
  constexpr int64_t denseRows = 96; // a multiple of the columns of a dot tile
  const int64_t group = denseRows / p.rows;
  const bool dense = double(p.count) > denseUpShare() * double(p.tokens) * double(block.hidden);
  std::vector<const float *> inputs(dense ? static_cast<size_t>(p.tokens) : 0);
  for (size_t t = 0; t < inputs.size(); ++t)
    inputs[t] = p.x + static_cast<int64_t>(t) * p.ldx;
  auto denseProducts = [&](int64_t q, int64_t end, const float *b, const std::vector<float> &bias,
                           float *out) {
    const int64_t j0 = q * p.rows;
    DotTile d;
    d.m = p.tokens;
    d.n = std::min(end * p.rows, block.hidden) - j0;
    d.k = block.in;
    d.rows = inputs.data();
    d.b = b;
    d.ldb = in;
    d.ldc = denseRows;
    d.c = scratch<float>(Scratch::Sums, p.tokens * denseRows);
    kernel.dotTile(d);
    for (; q < end; ++q)
      for (int64_t t = 0; t < p.tokens; ++t)
        for (int64_t i = p.start[q * p.tokens + t]; i < p.start[q * p.tokens + t + 1]; ++i) {
          const float sum = d.c[t * denseRows + p.neuron[i] - j0];
          out[i] = bias.empty() ? sum : sum + bias[static_cast<size_t>(p.neuron[i])];
        }
  };
  for (int64_t q = q0; q < q1; ++q) {
    const int64_t j0 = q * p.rows, from = p.first(q), count = p.first(q + 1) - from;
    float *h = p.h + from;
    if (!dense) {
      products(q, block.upRow(j0), block.upBias, p.h);
      if (block.gated)
        products(q, block.gateRow(j0), block.gateBias, p.gate);
    } else if ((q - q0) % group == 0) {
      const int64_t end = std::min(q + group, q1);
      denseProducts(q, end, block.upRow(j0), block.upBias, p.h);
      if (block.gated)
        denseProducts(q, end, block.gateRow(j0), block.gateBias, p.gate);
    }
    if (block.gated) {
      applyCut(block.cut, p.gate + from, h, count);
      kernel.gated(block.act, p.gate + from, h, h, count);
    } else {
      kernel.activation(block.act, h, h, count);
    }
    for (int64_t i = 0; p.weight && i < count; ++i)
      h[i] *= p.weight[from + i];
  }
}

/// Stripes s0..s1 of the outputs, in the chains of outputs().
void panelOutputs(const Job &job, const PanelPairs &p, const Stripes &cut, int64_t s0, int64_t s1,
                  const float *minus) {
  const PackedNeurons &block = job.block;
  const RowPanels down{block.downBlock(0), columns, columns / 16, block.hidden * columns};
  const EntryLists entries{p.neuron, p.h, p.start, 1, p.tokens, p.rows};
  for (int64_t s = s0; s < s1; ++s) {
    const int64_t p0 = cut.first(s), p1 = cut.first(s + 1), width = (p1 - p0) * 16;
    const int64_t c0 = p0 * 16, n = std::min(width, block.out - c0);
    float *sums = scratch<float>(Scratch::Sums, p.tokens * width);
    for (int64_t t = 0; t < p.tokens; ++t) {
      const int64_t token = p.t0 + t;
      for (int64_t c = 0; c < n; c += columns)
        startRow(job, token, c0 + c, std::min(columns, n - c), minus);
      std::memcpy(sums + t * width, job.y + token * job.ldy + c0,
                  static_cast<size_t>(n) * sizeof(float));
      std::memset(sums + t * width + n, 0, static_cast<size_t>(width - n) * sizeof(float));
    }
    sumStripe(entries, p.tokens, block.hidden, down, p0, p1, sums);
    for (int64_t t = 0; t < p.tokens; ++t)
      std::memcpy(job.y + (p.t0 + t) * job.ldy + c0, sums + t * width,
                  static_cast<size_t>(n) * sizeof(float));
  }
}

/// runShared a panel at a time.
void runPanelsShared(const Job &job, int64_t t0, int64_t t1) {
  ThreadPool &pool = ThreadPool::global();
  const std::vector<float> minus = minusOnes(job);
  const PanelPairs p = makePanelPairs(job, t0, t1);
  const Stripes cut(job.block.out);
  pool.parallelFor(p.panels, 1,
                   [&](int64_t begin, int64_t end) { panelUnits(job, p, begin, end); });
  pool.parallelFor(cut.count, 1, [&](int64_t begin, int64_t end) {
    panelOutputs(job, p, cut, begin, end, minus.data());
  });
}

/// True where the neurons of every token ascend, as the lists of panels do.
bool ascending(const Job &job, int64_t t0, int64_t t1) {
  for (int64_t t = t0; t < t1; ++t)
    for (int64_t i = job.routing.offsets[t] + 1; i < job.routing.offsets[t + 1]; ++i)
      if (job.routing.ids[i] <= job.routing.ids[i - 1])
        return false;
  return true;
}

/// Which products take the least time for a tile. The shares of pairs at which pairs and masked
/// products take the same time were measured with d = 1024 and 4096 neurons chosen at random
/// (section `neurons` of bench/kernels): 0.7 to 0.8 for one token, 0.5 for two; for more, 0.2 to
/// 0.3 with AVX-512 and 0.35 to 0.5 with AVX2, whose dense products gain less.
NeuronProducts fastest(const Job &job, int64_t t0, int64_t t1) {
  const int64_t tokens = t1 - t0;
  const double share =
      double(countPairs(job, t0, t1)) / std::max(1.0, double(tokens) * double(job.block.hidden));
  if (tokens >= panelTokens && share < panelShare && share > panelLeast && ascending(job, t0, t1))
    return NeuronProducts::Panels;
  const double even = tokens == 1 ? 0.75 : tokens < 4 ? 0.5 : isa() == Isa::Avx512 ? 0.25 : 0.42;
  return share > even ? NeuronProducts::Dense : NeuronProducts::Pairs;
}

/// After the sums of a tile, whose rows are still in cache.
void addResidual(const Job &job, const FfnEpilogue &epilogue, int64_t t0, int64_t t1) {
  if (!epilogue.residual)
    return;
  Finish f;
  f.m = t1 - t0;
  f.n = job.block.out;
  f.c = job.y + t0 * job.ldy;
  f.x = f.c;
  f.ldx = f.ldc = job.ldy;
  f.residual = epilogue.residual + t0 * epilogue.ldr;
  f.ldr = epilogue.ldr;
  f.residualScale = epilogue.residualScale;
  kernels().finish(f);
}

std::vector<float> paddedRows(const float *vector, int64_t n, int64_t padded) {
  std::vector<float> out(static_cast<size_t>(padded));
  if (vector)
    std::copy(vector, vector + n, out.begin());
  return out;
}

} // namespace

PackedNeurons::PackedNeurons(const FfnSource &s, Activation act, const std::vector<int64_t> &bounds)
    : in(s.in), hidden(s.hidden), out(s.out), act(act), gated(s.gate != nullptr), cut(s.cut),
      starts(bounds) {
  check(gated || !cut.any(), "experts: a limit or an offset needs a gate");
  check(!starts.empty() && starts[0] == 0 && starts.back() == hidden,
        "experts: the starts do not lead from 0 to ", hidden);
  check(std::is_sorted(starts.begin(), starts.end()), "experts: starts do not ascend");
  if (s.gateBias)
    gateBias.assign(s.gateBias, s.gateBias + hidden);
  if (s.upBias)
    upBias.assign(s.upBias, s.upBias + hidden);
  base = paddedRows(s.downBias, out, outPadded());
  const size_t inner = static_cast<size_t>(hidden * inPadded()) * sizeof(float);
  up = Buffer(inner);
  if (gated)
    gate = Buffer(inner);
  down = Buffer(static_cast<size_t>(hidden * columnBlocks() * columns) * sizeof(float));
  ThreadPool::global().parallelFor(hidden, 64, [&](int64_t begin, int64_t end) {
    // Element i of neuron j; neurons innermost where they lie side by side.
    auto take = [&](Buffer &to, auto place, const float *from, int64_t n, bool byNeuron) {
      float *rows = to.as<float>();
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = begin; j < end; ++j)
          rows[place(j, i)] = byNeuron ? from[j * n + i] : from[i * hidden + j];
    };
    auto inRow = [&](int64_t j, int64_t i) { return j * inPadded() + i; };
    auto inBlock = [&](int64_t j, int64_t i) {
      return (i / columns * hidden + j) * columns + i % columns;
    };
    take(up, inRow, s.up, in, s.upTransposed);
    if (gated)
      take(gate, inRow, s.gate, in, s.gateTransposed);
    take(down, inBlock, s.down, out, !s.downTransposed);
  });
}

void PackedNeurons::setSkipVectors(const float *vectors) {
  skip.assign(static_cast<size_t>(outPadded() * experts()), 0.0f);
  for (int64_t e = 0; e < experts(); ++e)
    for (int64_t i = 0; i < out; ++i) {
      skip[static_cast<size_t>(e * outPadded() + i)] = vectors[e * out + i];
      base[static_cast<size_t>(i)] += vectors[e * out + i];
    }
}

bool preferNeurons(const std::vector<int64_t> &sizes) {
  int64_t units = 0, padded = 0;
  for (int64_t size : sizes) {
    units += size;
    padded += (size + 15) / 16 * 16;
  }
  return 2 * padded > 3 * units;
}

void experts(const PackedNeurons &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue,
             NeuronProducts products) {
  if (tokens <= 0 || block.out == 0)
    return;
  Job job{block, x, ldx, routing, y, ldy};
  auto productsOf = [&](int64_t t0, int64_t t1) {
    if (products == NeuronProducts::Faster)
      return fastest(job, t0, t1);
    countPairs(job, t0, t1); // refuses ids out of range
    return products == NeuronProducts::Panels && !ascending(job, t0, t1) ? NeuronProducts::Pairs
                                                                         : products;
  };
  if (tokens <= sharedTokens) {
    for (int64_t t = 0; t < tokens; t += tileTokens) {
      const int64_t end = std::min(tokens, t + tileTokens);
      const NeuronProducts chosen = productsOf(t, end);
      if (chosen == NeuronProducts::Panels)
        runPanelsShared(job, t, end);
      else if (chosen == NeuronProducts::Dense)
        runDenseShared(job, t, end);
      else
        runShared(job, t, end);
      addResidual(job, epilogue, t, end);
    }
    return;
  }
  // Each thread takes tiles of tokens all the way.
  const std::vector<float> minus = minusOnes(job);
  const int64_t tiles = (tokens + tileTokens - 1) / tileTokens, blocks = block.columnBlocks();
  ThreadPool::global().parallelFor(tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t0 = tokens * i / tiles, t1 = tokens * (i + 1) / tiles;
      const NeuronProducts chosen = productsOf(t0, t1);
      if (chosen == NeuronProducts::Panels) {
        const PanelPairs p = makePanelPairs(job, t0, t1);
        const Stripes cut(block.out);
        panelUnits(job, p, 0, p.panels);
        panelOutputs(job, p, cut, 0, cut.count, minus.data());
      } else if (chosen == NeuronProducts::Dense) {
        const Units units = makeUnits(job, t0, t1);
        denseUnits(job, units, 0, block.hidden);
        packUnits(job, units, 0, units.slivers);
        denseOutputs(job, units, 0, blocks, minus.data());
      } else {
        const Pairs p = makePairs(job, t0, t1);
        hiddenUnits(job, p, 0, block.experts());
        outputs(job, p, 0, blocks, minus.data());
      }
      addResidual(job, epilogue, t0, t1);
    }
  });
}

} // namespace uoe::rt::fast
