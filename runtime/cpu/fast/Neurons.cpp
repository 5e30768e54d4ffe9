#include "Neurons.h"
#include "GemmBlock.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Tokens whose inputs stay in L2 while all neurons pass by.
constexpr int64_t tileTokens = 128;
/// Up to here the threads share the neurons and columns of a tile; beyond, each takes tiles.
constexpr int64_t sharedTokens = 256;
/// Chosen pairs should run at about half the speed of dense products: an estimate from loads per
/// multiply-add, not timed yet.
constexpr double denseShare = 0.5;
constexpr int64_t columns = 64; // of the outputs, summed at a time in registers

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
  s.ldb = job.block.outPadded();
  for (int64_t b = b0; b < b1; ++b) {
    const int64_t c0 = b * columns;
    s.n = std::min(columns, job.block.out - c0);
    s.b = job.block.downRow(0) + c0;
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

int64_t columnBlocks(const Job &job) {
  return (job.block.out + columns - 1) / columns;
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
    down(0, columnBlocks(job));
    return;
  }
  pool.parallelFor(pieces, 1, up);
  pool.parallelFor(columnBlocks(job), 1, down);
}

/// Each thread takes tiles of tokens all the way.
void runTiles(const Job &job, int64_t tokens) {
  const std::vector<float> minus = minusOnes(job);
  const int64_t tiles = (tokens + tileTokens - 1) / tileTokens;
  ThreadPool::global().parallelFor(tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Pairs p = makePairs(job, tokens * i / tiles, tokens * (i + 1) / tiles);
      hiddenUnits(job, p, 0, job.block.experts());
      outputs(job, p, 0, columnBlocks(job), minus.data());
    }
  });
}

/// Dense products under a mask.
void runDense(const Job &job, int64_t t0, int64_t tokens) {
  const PackedNeurons &block = job.block;
  const Kernels &kernel = kernels();
  const int64_t hidden = block.hidden;
  float *u = scratch<float>(Scratch::Hidden, tokens * hidden * (block.gated ? 2 : 1));
  float *g = u + tokens * hidden;
  const float *x = job.x + t0 * job.ldx;
  gemmUnpacked(tokens, hidden, block.in, x, job.ldx, false, block.upRow(0), block.inPadded(), true,
               u, hidden);
  if (block.gated)
    gemmUnpacked(tokens, hidden, block.in, x, job.ldx, false, block.gateRow(0), block.inPadded(),
                 true, g, hidden);
  ThreadPool &pool = ThreadPool::global();
  pool.parallelFor(tokens, 4, [&](int64_t begin, int64_t end) {
    float *weight = scratch<float>(Scratch::Rows, hidden);
    for (int64_t t = begin; t < end; ++t) {
      float *h = u + t * hidden, *a = g + t * hidden;
      auto biased = [&](float *to, const std::vector<float> &bias) {
        for (int64_t j = 0; !bias.empty() && j < hidden; ++j)
          to[j] += bias[static_cast<size_t>(j)];
      };
      biased(h, block.upBias);
      if (block.gated) {
        biased(a, block.gateBias);
        kernel.gated(block.act, a, h, h, hidden);
      } else {
        kernel.activation(block.act, h, h, hidden);
      }
      std::memset(weight, 0, static_cast<size_t>(hidden) * sizeof(float));
      for (int64_t i = job.routing.offsets[t0 + t]; i < job.routing.offsets[t0 + t + 1]; ++i) {
        const size_t e = static_cast<size_t>(job.routing.ids[i]);
        std::fill(weight + block.starts[e], weight + block.starts[e + 1],
                  job.routing.weights ? job.routing.weights[i] : 1.0f);
      }
      // What is not chosen counts as 0 even where it is not finite.
      for (int64_t j = 0; j < hidden; ++j)
        h[j] = weight[j] == 0 ? 0.0f : h[j] * weight[j];
    }
  });
  const std::vector<float> minus = minusOnes(job);
  for (int64_t t = t0; t < t0 + tokens; ++t)
    for (int64_t c0 = 0; c0 < block.out; c0 += columns)
      startRow(job, t, c0, std::min(columns, block.out - c0), minus.data());
  Product product;
  product.m = tokens;
  product.n = block.out;
  product.k = hidden;
  product.a = u;
  product.stepM = hidden;
  product.b = {reinterpret_cast<const char *>(block.downRow(0)), false, block.outPadded(), 16};
  product.c = job.y + t0 * job.ldy;
  product.ldc = job.ldy;
  product.epilogue.residual = product.c;
  product.epilogue.ldr = job.ldy;
  runProduct(product);
}

std::vector<float> paddedRows(const float *vector, int64_t n, int64_t padded) {
  std::vector<float> out(static_cast<size_t>(padded));
  if (vector)
    std::copy(vector, vector + n, out.begin());
  return out;
}

} // namespace

PackedNeurons::PackedNeurons(const FfnSource &s, Activation act, const std::vector<int64_t> &bounds)
    : in(s.in), hidden(s.hidden), out(s.out), act(act), gated(s.gate != nullptr), starts(bounds) {
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
  down = Buffer(static_cast<size_t>(hidden * outPadded()) * sizeof(float));
  ThreadPool::global().parallelFor(hidden, 64, [&](int64_t begin, int64_t end) {
    // Element i of neuron j; neurons innermost where they lie side by side.
    auto take = [&](Buffer &to, int64_t padded, const float *from, int64_t n, bool byNeuron) {
      float *rows = to.as<float>();
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = begin; j < end; ++j)
          rows[j * padded + i] = byNeuron ? from[j * n + i] : from[i * hidden + j];
    };
    take(up, inPadded(), s.up, in, s.upTransposed);
    if (gated)
      take(gate, inPadded(), s.gate, in, s.gateTransposed);
    take(down, outPadded(), s.down, out, !s.downTransposed);
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
             const Routing &routing, float *y, int64_t ldy) {
  if (tokens <= 0 || block.out == 0)
    return;
  Job job{block, x, ldx, routing, y, ldy};
  const int64_t pairs = countPairs(job, 0, tokens);
  if (tokens > 8 && double(pairs) > denseShare * double(tokens) * double(block.hidden)) {
    constexpr int64_t batch = 512; // bounds the memory of the hidden units
    for (int64_t t = 0; t < tokens; t += batch)
      runDense(job, t, std::min(batch, tokens - t));
    return;
  }
  if (tokens > sharedTokens)
    return runTiles(job, tokens);
  for (int64_t t = 0; t < tokens; t += tileTokens)
    runShared(job, t, std::min(tokens, t + tileTokens));
}

} // namespace uoe::rt::fast
