#include "Cascade.h"
#include "GemmBlock.h"
#include "Isa.h"
#include "Panels.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace uoe::rt::fast {

namespace {

constexpr int64_t fewTokens = 8;

bool keeps(const std::vector<float> &scale, int64_t i, float value, float threshold) {
  return scale.empty() || std::fabs(value) * scale[static_cast<size_t>(i)] > threshold;
}

const float *data(const std::vector<float> &v) {
  return v.empty() ? nullptr : v.data();
}

/// Rows that some token keeps, with the tokens' values packed [row][tokens]: 0 where a token drops
/// it.
struct Kept {
  int32_t *index = nullptr;
  float *values = nullptr;
  int64_t count = 0;

  void take(int64_t row, const float *tokenValues, int64_t tokens) {
    index[count] = static_cast<int32_t>(row);
    std::memcpy(values + count++ * tokens, tokenValues,
                static_cast<size_t>(tokens) * sizeof(float));
  }
  /// Room for n rows out of `memory`, which is moved on.
  static Kept in(char *&memory, int64_t n, int64_t tokens) {
    Kept kept;
    kept.index = reinterpret_cast<int32_t *>(memory);
    kept.values = reinterpret_cast<float *>(memory + n * 4);
    memory += n * 4 * (1 + tokens);
    return kept;
  }
  static size_t bytes(int64_t n, int64_t tokens) {
    return static_cast<size_t>(n) * 4 * static_cast<size_t>(1 + tokens);
  }
};

struct Totals {
  std::atomic<int64_t> active{0}, down{0};
};

/// Neurons of chunk c for up to 8 tokens, through all stages, added into part [tokens][outPadded].
void runChunk(const PackedCascade &b, int64_t c, int64_t tokens, const Kept &channels,
              const float *upInput, float *part, Totals &totals) {
  const Kernels &kernel = kernels();
  const int64_t width = b.chunk(), j0 = c * width, count = std::min(width, b.hidden - j0);
  const size_t room =
      static_cast<size_t>(tokens * width) * sizeof(float) * 2 + 2 * Kept::bytes(width, tokens) + 64;
  char *memory = scratch<char>(Scratch::Work, static_cast<int64_t>(room));
  float *g = reinterpret_cast<float *>(memory), *u = g + tokens * width;
  memory += static_cast<size_t>(tokens * width) * sizeof(float) * 2;
  Kept active = Kept::in(memory, width, tokens), last = Kept::in(memory, width, tokens);

  std::memset(g, 0, static_cast<size_t>(tokens * width) * sizeof(float));
  SparseRows s;
  s.m = tokens;
  s.n = width;
  s.count = channels.count;
  s.index = channels.index;
  s.b = b.firstChunk(c);
  s.ldb = width;
  s.a = channels.values;
  s.c = g;
  s.ldc = width;
  kernel.addRows(s, b.types.first);
  HiddenTile tile;
  tile.act = b.act;
  tile.m = 1;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < width; j += 16) {
      tile.a = tile.out = g + t * width + j;
      tile.biasA = b.firstBias.data() + j0 + j;
      kernel.hiddenTile(tile);
    }

  float values[fewTokens];
  int64_t activeCount = 0, downCount = 0;
  for (int64_t j = 0; j < count; ++j) {
    bool any = false;
    for (int64_t t = 0; t < tokens; ++t) {
      float value = g[t * width + j];
      bool keep = keeps(b.activeScale, j0 + j, value, b.activeThreshold);
      values[t] = keep ? value : 0.0f;
      any |= keep;
      activeCount += keep;
    }
    if (any)
      active.take(j0 + j, values, tokens);
  }
  if (b.gated) {
    s.count = active.count;
    s.index = active.index;
    s.b = b.upRow(0);
    s.ldb = s.n = b.inPadded();
    s.a = upInput;
    s.lda = b.inPadded();
    s.c = u;
    kernel.dotRows(s, b.types.up);
  }
  for (int64_t i = 0; i < active.count; ++i) {
    int64_t j = active.index[i];
    bool any = false;
    for (int64_t t = 0; t < tokens; ++t) {
      float h = active.values[i * tokens + t];
      // A neuron that a token dropped before stays dropped, whatever its up value is.
      bool in = !b.gated || keeps(b.activeScale, j, h, b.activeThreshold);
      if (b.gated && in)
        h *= u[i * tokens + t] + b.upBias[static_cast<size_t>(j)];
      bool keep = in && keeps(b.downScale, j, h, b.downThreshold);
      values[t] = keep ? h : 0.0f;
      any |= keep;
      downCount += keep;
    }
    if (any)
      last.take(j, values, tokens);
  }
  s.count = last.count;
  s.index = last.index;
  s.b = b.downRow(0);
  s.ldb = s.n = b.outPadded();
  s.a = last.values;
  s.c = part;
  s.ldc = b.outPadded();
  kernel.addRows(s, b.types.down);
  totals.active += activeCount;
  totals.down += downCount;
}

void runFew(const PackedCascade &b, const float *x, int64_t ldx, int64_t tokens, float *y,
            int64_t ldy, const float *residual, int64_t ldr, CascadeCounts *counts) {
  const int64_t in = b.in, padded = b.inPadded(), outPadded = b.outPadded();
  const int64_t partFloats = tokens * outPadded;
  char *memory = scratch<char>(Scratch::Rows, static_cast<int64_t>(Kept::bytes(in, tokens)) +
                                                  4 * (tokens * padded + b.chunks() * partFloats));
  Kept channels = Kept::in(memory, in, tokens);
  float *upInput = reinterpret_cast<float *>(memory), *parts = upInput + tokens * padded;
  std::memset(upInput, 0, static_cast<size_t>(tokens * padded + b.chunks() * partFloats) * 4);
  int64_t gateChannels = 0, upChannels = 0;
  for (int64_t i = 0; i < in; ++i) {
    float values[fewTokens];
    bool any = false;
    for (int64_t t = 0; t < tokens; ++t) {
      float z = x[t * ldx + i] - b.mean[static_cast<size_t>(i)];
      bool keep = keeps(b.gateScale, i, z, b.gateThreshold);
      values[t] = keep ? z : 0.0f;
      any |= keep;
      gateChannels += keep;
      if (b.gated && keeps(b.upScale, i, z, b.upThreshold)) {
        upInput[t * padded + i] = z;
        ++upChannels;
      }
    }
    if (any)
      channels.take(i, values, tokens);
  }
  Totals totals;
  ThreadPool::global().parallelFor(b.chunks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      runChunk(b, c, tokens, channels, upInput, parts + c * partFloats, totals);
  });
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < b.out; ++i) {
      float sum = b.downBias[static_cast<size_t>(i)];
      for (int64_t c = 0; c < b.chunks(); ++c)
        sum += parts[c * partFloats + t * outPadded + i];
      y[t * ldy + i] = residual ? sum + residual[t * ldr + i] : sum;
    }
  if (counts) {
    counts->tokens += tokens;
    counts->gateChannels += gateChannels;
    counts->upChannels += upChannels;
    counts->activeNeurons += totals.active;
    counts->downNeurons += totals.down;
  }
}

/// c[m, n] += or = of a times rows of b that lie `stepK` apart.
void denseProduct(const float *a, int64_t lda, int64_t m, const void *b, ElementType type,
                  int64_t stepK, int64_t k, int64_t n, float *c, int64_t ldc,
                  const Epilogue &epilogue) {
  Product g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a;
  g.stepM = lda;
  g.b = {static_cast<const char *>(b), type, stepK, 16, 0};
  g.c = c;
  g.ldc = ldc;
  g.epilogue = epilogue;
  runProduct(g);
}

/// The rows of a batch of tokens under a mask: as lists, one a token, in `pitch` places each.
struct Lists {
  std::vector<float> const *scale = nullptr;
  const float *mean = nullptr;
  float threshold = 0;
  Stripes cut{0};
  int64_t n = 0, pitch = 0;
  int32_t *index = nullptr, *start = nullptr;
  float *value = nullptr;

  /// Room for a batch out of `memory`, which is moved on.
  static Lists in(char *&memory, int64_t tokens, int64_t n, int64_t columns) {
    Lists l;
    l.cut = Stripes(columns);
    l.n = n;
    l.pitch = n + 16;
    l.index = reinterpret_cast<int32_t *>(memory);
    l.value = reinterpret_cast<float *>(l.index + tokens * l.pitch);
    l.start = reinterpret_cast<int32_t *>(l.value + tokens * l.pitch);
    memory += bytes(tokens, n, columns);
    return l;
  }
  static int64_t bytes(int64_t tokens, int64_t n, int64_t columns) {
    return (tokens * (2 * (n + 16) + Stripes(columns).starts(n)) * 4 + 63) / 64 * 64;
  }
  void mask(const std::vector<float> &by, float above, const float *less = nullptr) {
    scale = &by;
    threshold = above;
    mean = less;
  }
  /// Fills the list of token t; returns its length.
  int64_t fill(const float *x, int64_t t) {
    if (scale->empty())
      return n;
    KeptRow k;
    k.n = n;
    k.step = cut.step;
    k.x = x;
    k.mean = mean;
    k.scale = scale->data();
    k.threshold = threshold;
    k.index = index + t * pitch;
    k.value = value + t * pitch;
    k.base = static_cast<int32_t>(t * pitch);
    k.start = start + t * cut.starts(n);
    return kernels().listKept(k);
  }
  /// The same as a row with zeros.
  void zero(const float *x, float *out) const {
    kernels().keepRow(x, mean, data(*scale), threshold, n, out);
  }
};

/// The share of entries at which a product over lists takes as long as the dense one. The lists
/// take about 1.6 times as long a multiply-add (their loads feed one each, and each visit of a
/// panel has its sums to load and store and a loop of unforeseen length), the dense product of
/// operands that lie as those of few tokens do about 1.2 times as long as one of packed weights.
constexpr double evenShare = 0.7;

/// The product of a batch with b, summed over the entries of the lists.
void sparseProduct(const Lists &l, int64_t tokens, const RowPanels &b, int64_t columns,
                   const Product &to) {
  constexpr int64_t tile = 128; // the sums of a stripe stay in L2
  const int64_t tiles = (tokens + tile - 1) / tile;
  ThreadPool::global().parallelFor(l.cut.count * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t stripe = i / tiles, t0 = tokens * (i % tiles) / tiles;
      const int64_t m = tokens * (i % tiles + 1) / tiles - t0;
      const int64_t p0 = l.cut.first(stripe), p1 = l.cut.first(stripe + 1);
      const int64_t width = (p1 - p0) * 16;
      float *sums = scratch<float>(Scratch::Sums, m * width);
      std::memset(sums, 0, static_cast<size_t>(m * width) * sizeof(float));
      const int64_t starts = l.cut.starts(l.n);
      const EntryLists entries{l.index, l.value, l.start + t0 * starts, starts, 1, l.cut.step};
      sumStripe(entries, m, l.n, b, p0, p1, sums);
      finishBlock(to, t0, m, p0 * 16, std::min(width, columns - p0 * 16), sums, width);
    }
  });
}

/// Floats from row to row of the input of up: no multiple of a page.
int64_t upStride(const PackedCascade &b) {
  return b.inPadded() + 16;
}

/// The rows of all neurons: in scratch, unless they are floats.
const float *upAsFloats(const PackedCascade &b) {
  if (b.types.up == ElementType::F32)
    return static_cast<const float *>(b.upRow(0));
  const int64_t row = b.inPadded();
  float *wide = scratch<float>(Scratch::UpRows, b.hidden * row);
  ThreadPool::global().parallelFor(b.hidden, 64, [&](int64_t begin, int64_t end) {
    kernels().widen(b.upRow(begin), b.types.up, (end - begin) * row, wide + begin * row);
  });
  return wide;
}

/// u = z up for all neurons, whose rows are read as they lie.
void denseUp(const PackedCascade &b, const float *z, int64_t tokens, float *u, int64_t ldu) {
  constexpr int64_t tile = 128, piece = 48; // the rows of a tile stay in L2
  const int64_t tiles = (tokens + tile - 1) / tile, pieces = (b.hidden + piece - 1) / piece;
  ThreadPool::global().parallelFor(tiles * pieces, 1, [&](int64_t begin, int64_t end) {
    const float *rows[tile];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t0 = tokens * (i % tiles) / tiles, j0 = i / tiles * piece;
      DotTile d;
      d.m = tokens * (i % tiles + 1) / tiles - t0;
      for (int64_t t = 0; t < d.m; ++t)
        rows[t] = z + (t0 + t) * upStride(b);
      d.rows = rows;
      d.n = std::min(piece, b.hidden - j0);
      d.k = b.in;
      d.ldb = b.inPadded();
      if (b.types.up == ElementType::F32) {
        d.b = static_cast<const float *>(b.upRow(j0));
      } else {
        float *wide = scratch<float>(Scratch::Widened, d.n * d.ldb);
        kernels().widen(b.upRow(j0), b.types.up, d.n * d.ldb, wide);
        d.b = wide;
      }
      d.c = u + t0 * ldu + j0;
      d.ldc = ldu;
      kernels().dotTile(d);
    }
  });
}

/// Tokens in batches. Gate and down are taken over the lists of what their masks keep, or, where
/// that is most of it, densely with zeros for the rest; both give the same bits. Up is dense.
void runMany(const PackedCascade &b, const float *x, int64_t ldx, int64_t tokens, float *y,
             int64_t ldy, const float *residual, int64_t ldr, CascadeCounts *counts,
             CascadeProducts products) {
  const int64_t in = b.in, width = b.chunk(), hidden = b.chunks() * width;
  char *memory = scratch<char>(Scratch::Rows, Lists::bytes(tokens, in, b.hidden) +
                                                  Lists::bytes(tokens, b.hidden, b.out) +
                                                  tokens * (in + b.inPadded() + 16) * 4);
  Lists gate = Lists::in(memory, tokens, in, b.hidden),
        down = Lists::in(memory, tokens, b.hidden, b.out);
  gate.mask(b.gateScale, b.gateThreshold, b.mean.data());
  down.mask(b.downScale, b.downThreshold);
  float *zu = reinterpret_cast<float *>(memory), *zg = zu + tokens * upStride(b);
  float *g = scratch<float>(Scratch::Hidden, tokens * hidden * 2), *u = g + tokens * hidden;
  const Kernels &kernel = kernels();
  ThreadPool &pool = ThreadPool::global();
  auto isSparse = [&](const Lists &l, int64_t kept) {
    if (l.scale->empty() || products == CascadeProducts::Dense)
      return false;
    return products == CascadeProducts::Sparse ||
           double(kept) < evenShare * double(tokens) * double(l.n);
  };
  auto rows = [&](auto &&body) {
    pool.parallelFor(tokens, 16, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        body(t);
    });
  };
  Totals channels, neurons;
  rows([&](int64_t t) {
    channels.active += gate.fill(x + t * ldx, t);
    if (b.gated)
      channels.down += kernel.keepRow(x + t * ldx, b.mean.data(), data(b.upScale), b.upThreshold,
                                      in, zu + t * upStride(b));
  });

  Product first;
  first.c = g;
  first.ldc = hidden;
  first.epilogue.bias = b.firstBias.data();
  first.epilogue.act = b.act;
  if (isSparse(gate, channels.active)) {
    sparseProduct(gate, tokens, {b.firstChunk(0), width, width / 16, in * width, b.types.first},
                  hidden, first);
  } else {
    rows([&](int64_t t) { gate.zero(x + t * ldx, zg + t * in); });
    for (int64_t c = 0; c < b.chunks(); ++c) {
      Epilogue e = first.epilogue;
      e.bias += c * width;
      denseProduct(zg, in, tokens, b.firstChunk(c), b.types.first, width, in, width, g + c * width,
                   hidden, e);
    }
  }
  // Dot products of rows as they lie are as fast as packed ones with AVX-512 alone.
  if (b.gated && isa() == Isa::Avx512)
    denseUp(b, zu, tokens, u, hidden);
  else if (b.gated)
    gemmUnpacked(tokens, b.hidden, in, zu, upStride(b), false, upAsFloats(b), b.inPadded(), true, u,
                 hidden);
  rows([&](int64_t t) {
    float *h = g + t * hidden;
    int64_t here = kernel.keepRow(h, nullptr, data(b.activeScale), b.activeThreshold, b.hidden, h);
    if (b.gated)
      kernel.multiplyRow(h, u + t * hidden, b.upBias.data(), b.hidden);
    neurons.active += here;
    // Thresholds are not negative: what was dropped before is 0 and stays dropped.
    neurons.down += b.downScale.empty() ? here : down.fill(h, t);
  });
  Product last;
  last.c = y;
  last.ldc = ldy;
  last.epilogue.bias = b.downBias.data();
  last.epilogue.residual = residual;
  last.epilogue.ldr = ldr;
  if (isSparse(down, neurons.down)) {
    sparseProduct(down, tokens, {b.downRow(0), b.outPadded(), b.outPadded(), 0, b.types.down},
                  b.out, last);
  } else {
    rows([&](int64_t t) {
      if (!b.downScale.empty())
        down.zero(g + t * hidden, g + t * hidden);
    });
    denseProduct(g, hidden, tokens, b.downRow(0), b.types.down, b.outPadded(), b.hidden, b.out, y,
                 ldy, last.epilogue);
  }
  if (counts) {
    counts->tokens += tokens;
    counts->gateChannels += channels.active;
    counts->upChannels += channels.down;
    counts->activeNeurons += neurons.active;
    counts->downNeurons += neurons.down;
  }
}

} // namespace

void cascade(const PackedCascade &block, const float *x, int64_t ldx, int64_t tokens, float *y,
             int64_t ldy, const float *residual, int64_t ldr, CascadeCounts *counts,
             CascadeProducts products) {
  if (tokens <= 0 || block.out == 0)
    return;
  if (tokens <= fewTokens)
    return runFew(block, x, ldx, tokens, y, ldy, residual, ldr, counts);
  constexpr int64_t batch = 128; // bounds the memory of the intermediate values
  for (int64_t t = 0; t < tokens; t += batch)
    runMany(block, x + t * ldx, ldx, std::min(batch, tokens - t), y + t * ldy, ldy,
            residual ? residual + t * ldr : nullptr, ldr, counts, products);
}

} // namespace uoe::rt::fast
