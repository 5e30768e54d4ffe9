// The tokens of a tile are grouped by expert (a stable counting sort); each expert then multiplies
// its own rows, found through pointers, by its group of 16 hidden units, and keeps the activated
// units in a compact list. The way down goes by blocks of output columns: a block of the tile's
// outputs stays in L1 while all experts add to it in ascending order, so no partial results are
// written and none need to be reduced.
#include "Experts.h"
#include "Memory.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Dense blocks: tokens of a tile when the threads share the tokens, and the most for which they
/// share hidden units and columns.
constexpr int64_t tileTokens = 128;
constexpr int64_t sharedTile = 256;
/// Routed blocks always share experts and columns, so that each expert meets many of its tokens
/// while its weights are in cache: tokens of a tile, and floats of its hidden units.
constexpr int64_t routedTile = 1024;
constexpr int64_t routedFloats = 8 << 20;
/// On the way down, bytes of a tile's outputs that stay in L1; where an expert has enough units for
/// one visit to its outputs, bytes that stay in L2, of outputs and of its weights.
constexpr int64_t outputBytes = 20 << 10;
constexpr int64_t visitedGroups = 4, visitedBytes = 256 << 10, panelsBytes = 128 << 10;

/// One tile of tokens sorted by block (block 0: the core). Lives in scratch of the thread that made
/// it.
struct Tile16 {
  int64_t tokens = 0, blocks = 0;
  bool few = false;          // codes of quantised matrices are summed before they are scaled
  const float **x = nullptr; // [tokens] input rows; if few and quantised, as quantRow leaves them
  const float **xSums = nullptr; // [tokens] their sums, then
  int64_t *first = nullptr;      // [blocks + 1] into the lists below
  int64_t *hidden = nullptr;     // [blocks] where a block's hidden units begin in h
  int32_t *token = nullptr;      // [entries] token of the tile, ascending within a block
  float *weight = nullptr;       // [entries], or null
  float *h = nullptr;            // per block [groups][entries][16]; if few and the way down is
                                 // quantised, [entries][groups][16]
  float *hSums = nullptr;        // then per block [entries][groups]

  int64_t rows(int64_t b) const { return first[b + 1] - first[b]; }
};

struct Job {
  const PackedFfn &block;
  const float *x;
  int64_t ldx;
  const Routing *routing; // null: every expert
  float *y;
  int64_t ldy;
  const FfnEpilogue &epilogue;
  const float *base; // [16 * outPanels]: bias, and all skip vectors
  const float *skip; // [experts][16 * outPanels] padded, or null
  bool few = false;
};

Tile16 makeTile(const Job &job, int64_t t0, int64_t t1) {
  const PackedFfn &block = job.block;
  const int64_t tokens = t1 - t0;
  Tile16 tile;
  tile.tokens = tokens;
  // Without routing everything is one block that all tokens take.
  tile.blocks = job.routing ? block.blocks() : 1;
  const int64_t *offsets = job.routing ? job.routing->offsets : nullptr;
  const int64_t from = offsets ? offsets[t0] : 0, chosen = offsets ? offsets[t1] - from : 0;
  const int64_t entries = tokens + chosen;
  const bool weighted = job.routing && job.routing->weights;
  char *memory =
      scratch<char>(Scratch::Routing, 8 * (2 * tokens + 3 * tile.blocks + 2) + 8 * entries);
  tile.x = reinterpret_cast<const float **>(memory);
  tile.xSums = tile.x + tokens;
  tile.first = reinterpret_cast<int64_t *>(tile.xSums + tokens);
  tile.hidden = tile.first + tile.blocks + 1;
  int64_t *next = tile.hidden + tile.blocks;
  tile.token = reinterpret_cast<int32_t *>(next + tile.blocks);
  tile.weight = weighted ? reinterpret_cast<float *>(tile.token + entries) : nullptr;
  for (int64_t t = 0; t < tokens; ++t)
    tile.x[t] = job.x + (t0 + t) * job.ldx;
  tile.few = job.few;
  if (tile.few && block.innerFormat) {
    const int64_t blocks = block.innerBlocks(), width = blocks * (block.innerFormat.block + 1);
    float *rows = scratch<float>(Scratch::Rows, tokens * width);
    for (int64_t t = 0; t < tokens; ++t, rows += width) {
      float *sums = rows + blocks * block.innerFormat.block;
      quantRow(tile.x[t], block.in, block.innerFormat, rows, sums);
      tile.x[t] = rows;
      tile.xSums[t] = sums;
    }
  }

  std::memset(next, 0, static_cast<size_t>(tile.blocks) * sizeof(int64_t));
  const bool core = !job.routing || block.firstGroup[1] > 0;
  next[0] = core ? tokens : 0;
  for (int64_t i = 0; i < chosen; ++i) {
    int32_t e = job.routing->ids[from + i];
    check(e >= 0 && e < block.experts, "experts: chosen expert ", e, " of ", block.experts);
    ++next[1 + e];
  }
  int64_t total = 0, floats = 0;
  for (int64_t b = 0; b < tile.blocks; ++b) {
    int64_t groups = job.routing ? block.firstGroup[size_t(b) + 1] - block.firstGroup[size_t(b)]
                                 : block.groups();
    tile.first[b] = total;
    tile.hidden[b] = floats;
    total += next[b];
    floats += next[b] * groups * 16;
    next[b] = tile.first[b];
  }
  tile.first[tile.blocks] = total;
  tile.h = scratch<float>(Scratch::Hidden, floats + floats / 16);
  tile.hSums = tile.h + floats;
  if (core)
    for (int64_t t = 0; t < tokens; ++t) {
      tile.token[t] = static_cast<int32_t>(t);
      if (weighted)
        tile.weight[t] = 1.0f;
    }
  for (int64_t t = 0; offsets && t < tokens; ++t)
    for (int64_t i = offsets[t0 + t]; i < offsets[t0 + t + 1]; ++i) {
      int64_t to = next[1 + job.routing->ids[i]]++;
      tile.token[to] = static_cast<int32_t>(t);
      if (weighted)
        tile.weight[to] = job.routing->weights[i];
    }
  return tile;
}

int64_t groupsOf(const Job &job, int64_t b) {
  return job.routing ? job.block.groupsOf(b) : job.block.groups();
}

/// Hidden units of groups g0..g1 (counted within the block) of block b, for all its rows.
void hiddenUnits(const Job &job, const Tile16 &tile, int64_t b, int64_t g0, int64_t g1) {
  const PackedFfn &block = job.block;
  const Kernels &kernel = kernels();
  ElementType type = block.types.inner;
  const int64_t rows = tile.rows(b), firstGroup = block.firstGroup[static_cast<size_t>(b)];
  const QuantFormat &format = block.innerFormat;
  const bool few = tile.few && format;
  // Rows of hidden units for a quantised way down are contiguous.
  const bool rowsOut = tile.few && block.outerFormat;
  const int64_t rowStep = rowsOut ? groupsOf(job, b) * 16 : 16;
  const int64_t height = few ? quantRowsAtOnce : kernel.mr;
  const int64_t slivers = (rows + height - 1) / height;
  float *sums = scratch<float>(Scratch::Tile, maxTileRows * 16 * 16);
  const float *pointers[maxTileRows];
  // Two panels: gate and up of one group; without gates as many groups as fit the scratch.
  const int64_t together = block.gated ? 1 : 8;
  Tile t;
  t.k = block.in;
  t.rows = pointers;
  t.bk = block.gated ? 32 : 16;
  t.bp = block.gated ? 16 : block.innerStep();
  t.c = sums;
  for (int64_t g = g0; g < g1; g += together) {
    const int64_t count = std::min(together, g1 - g), group = firstGroup + g;
    t.panels = block.gated ? 2 : count;
    t.ldc = t.panels * 16;
    t.b = block.innerGroup(group);
    const QuantPanels codes{format.bits,         format.hasZeros,
                            format.block,        static_cast<const uint8_t *>(t.b),
                            format.blockBytes(), format ? block.innerPanelBytes() : 0};
    if (format && !few) {
      float *wide =
          scratch<float>(Scratch::Widened, block.innerBlocks() * format.block * t.panels * 16);
      QuantPanels from = codes;
      for (int64_t p = 0; p < t.panels; ++p, from.b += from.panelBytes)
        kernel.widenPanel(from, block.innerBlocks(), wide + p * 16, t.panels * 16);
      t.b = wide;
      t.bk = t.panels * 16;
      t.bp = 16;
      type = ElementType::F32;
    } else if (!format && slivers > 1 && block.types.inner != ElementType::F32) {
      float *wide = scratch<float>(Scratch::Widened, count * block.innerStep());
      kernel.widen(t.b, block.types.inner, count * block.innerStep(), wide);
      t.b = wide;
      type = ElementType::F32;
    }
    for (int64_t s = 0; s < slivers; ++s) {
      int64_t r0 = rows * s / slivers, r1 = rows * (s + 1) / slivers, at = tile.first[b] + r0;
      t.m = r1 - r0;
      for (int64_t r = 0; r < t.m; ++r)
        pointers[r] = tile.x[tile.token[at + r]];
      if (few) {
        const float *rowSums[quantRowsAtOnce];
        float *results[quantRowsAtOnce];
        for (int64_t r = 0; r < t.m; ++r) {
          rowSums[r] = tile.xSums[tile.token[at + r]];
          results[r] = sums + r * t.ldc;
        }
        QuantTile q;
        q.m = t.m;
        q.panels = t.panels;
        q.blocks = block.innerBlocks();
        q.w = codes;
        q.rows = pointers;
        q.sums = rowSums;
        q.out = results;
        kernel.quantTile(q);
      } else {
        kernel.rowTile(t, type);
      }
      for (int64_t i = 0; i < count; ++i) {
        HiddenTile hidden;
        hidden.m = t.m;
        hidden.ld = t.ldc;
        hidden.act = block.act;
        hidden.cut = block.cut;
        const float *gate = block.gateBias.empty() ? nullptr : &block.gateBias[size_t(group * 16)];
        const float *up = block.upBias.empty() ? nullptr : &block.upBias[size_t((group + i) * 16)];
        hidden.a = sums + i * 16;
        hidden.b = block.gated ? sums + 16 : nullptr;
        hidden.biasA = block.gated ? gate : up;
        hidden.biasB = block.gated ? up : nullptr;
        hidden.weight = tile.weight && b > 0 ? tile.weight + at : nullptr;
        hidden.ldo = rowStep;
        hidden.out = tile.h + tile.hidden[b] +
                     (rowsOut ? r0 * rowStep + (g + i) * 16 : ((g + i) * rows + r0) * 16);
        kernel.hiddenTile(hidden);
        for (int64_t r = 0; rowsOut && r < t.m; ++r) {
          float *row = hidden.out + r * rowStep;
          quantRow(row, 16, block.outerFormat, row, tile.hSums + (row - tile.h) / 16);
        }
      }
    }
  }
}

/// Output panels p0..p1 of the tile whose first token is t0.
void outputs(const Job &job, const Tile16 &tile, int64_t t0, int64_t p0, int64_t p1) {
  const PackedFfn &block = job.block;
  const Kernels &kernel = kernels();
  const int64_t width = (p1 - p0) * 16, padded = block.outPanels() * 16;
  float *sums = scratch<float>(Scratch::Output, tile.tokens * width);
  for (int64_t t = 0; t < tile.tokens; ++t)
    std::memcpy(sums + t * width, job.base + p0 * 16, static_cast<size_t>(width) * sizeof(float));
  DownTile d;
  d.panels = p1 - p0;
  d.c = sums;
  d.ldc = width;
  const ElementType stored = block.types.outer;
  const QuantFormat &format = block.outerFormat;
  auto codesOf = [&](int64_t packed, int64_t p, int64_t group) {
    return QuantPanels{format.bits,
                       format.hasZeros,
                       16,
                       static_cast<const uint8_t *>(block.outerPanel(packed, p)) +
                           group * format.blockBytes(),
                       format.blockBytes(),
                       block.groupsOf(packed) * format.blockBytes()};
  };
  // d.groups groups of a tile's rows of block b, from `group` of the block on, with the weights
  // d.b.
  auto addGroups = [&](int64_t b, int64_t group, ElementType type) {
    const int64_t rows = tile.rows(b), slivers = (rows + kernel.mr - 1) / kernel.mr;
    for (int64_t s = 0; s < slivers; ++s) {
      int64_t r0 = rows * s / slivers, r1 = rows * (s + 1) / slivers;
      d.m = r1 - r0;
      d.rows = tile.token + tile.first[b] + r0;
      d.h = tile.h + tile.hidden[b] + (group * rows + r0) * 16;
      kernel.downTile(d, type);
    }
  };
  // The same with the codes of all groups that are packed together.
  auto addCodes = [&](int64_t b, int64_t packed, int64_t group) {
    const float *rows[quantRowsAtOnce], *rowSums[quantRowsAtOnce];
    float *results[quantRowsAtOnce];
    QuantTile q;
    q.panels = d.panels;
    q.blocks = d.groups;
    q.w = codesOf(packed, p0, 0);
    q.rows = rows;
    q.sums = rowSums;
    q.out = results;
    q.accumulate = true;
    q.shift = d.shift;
    const int64_t count = tile.rows(b), step = groupsOf(job, b) * 16;
    for (int64_t r0 = 0; r0 < count; r0 += quantRowsAtOnce) {
      q.m = std::min(quantRowsAtOnce, count - r0);
      for (int64_t r = 0; r < q.m; ++r) {
        rows[r] = tile.h + tile.hidden[b] + (r0 + r) * step + group * 16;
        rowSums[r] = tile.hSums + (rows[r] - tile.h) / 16;
        results[r] = sums + tile.token[tile.first[b] + r0 + r] * width;
      }
      kernel.quantTile(q);
    }
  };
  // The groups of block b as they are packed, those of `packed`, from `group` of the block on.
  auto down = [&](int64_t b, int64_t packed, int64_t group) {
    const int64_t groups = block.groupsOf(packed);
    d.groups = groups;
    d.bPanel = groups * 256;
    d.shift = job.skip && b > 0 ? job.skip + (b - 1) * padded + p0 * 16 : nullptr;
    d.hStep = tile.rows(b) * 16;
    if (groups == 0 && !d.shift)
      return;
    if (format && tile.few && groups > 0)
      return addCodes(b, packed, group);
    if (groups == 0 || (!format && (stored == ElementType::F32 || tile.rows(b) <= kernel.mr))) {
      // Next come the next panels, or of a few panels the next expert's; long ones are foreseen.
      d.ahead = groups > 32 ? 256 : groups < visitedGroups ? block.outPanels() * d.bPanel : 0;
      d.b = block.outerPanel(packed, p0);
      return addGroups(b, group, stored);
    }
    // Several tiles read the same weights: they are widened once, as many groups as stay in cache.
    const int64_t most = std::max<int64_t>(1, panelsBytes / (d.panels * 1024));
    float *wide = scratch<float>(Scratch::Widened, d.panels * most * 256);
    d.ahead = 0;
    for (int64_t g = 0; g < groups; g += most) {
      d.groups = std::min(most, groups - g);
      d.bPanel = d.groups * 256;
      for (int64_t p = 0; p < d.panels; ++p)
        if (format)
          kernel.widenPanel(codesOf(packed, p0 + p, g), d.groups, wide + p * d.bPanel, 16);
        else
          kernel.widen(static_cast<const char *>(block.outerPanel(packed, p0 + p)) +
                           g * block.outerBytes(),
                       stored, d.bPanel, wide + p * d.bPanel);
      d.b = wide;
      addGroups(b, group + g, ElementType::F32);
      d.shift = nullptr;
    }
  };
  for (int64_t b = 0; b < tile.blocks; ++b)
    if (job.routing)
      down(b, b, 0);
    else
      for (int64_t packed = 0; packed < block.blocks(); ++packed)
        down(b, packed, block.firstGroup[size_t(packed)]);
  Finish f;
  f.m = tile.tokens;
  f.n = std::min(width, block.out - p0 * 16);
  f.x = sums;
  f.ldx = width;
  const FfnEpilogue &e = job.epilogue;
  f.residual = e.residual ? e.residual + t0 * e.ldr + p0 * 16 : nullptr;
  f.ldr = e.ldr;
  f.residualScale = e.residualScale;
  f.c = job.y + t0 * job.ldy + p0 * 16;
  f.ldc = job.ldy;
  kernel.finish(f);
}

/// Panels of outputs that a thread takes at once, at most `panels`.
int64_t columnBlock(const Job &job, int64_t tokens, int64_t panels) {
  const int64_t row = std::max<int64_t>(1, tokens * 64);
  int64_t fit = outputBytes / row;
  const PackedFfn &block = job.block;
  const int64_t groups = block.groups() / std::max<int64_t>(1, block.experts);
  if (job.routing && groups >= visitedGroups)
    fit = std::max(fit, std::min(visitedBytes / row, panelsBytes / (groups * block.outerBytes())));
  return std::max<int64_t>(1, std::min(panels, std::max<int64_t>(2, fit / 2 * 2)));
}

/// The threads share the experts on the way up, the output columns on the way down.
void runShared(const Job &job, int64_t t0, int64_t t1) {
  ThreadPool &pool = ThreadPool::global();
  const int64_t tokens = t1 - t0;
  Tile16 tile = makeTile(job, t0, t1);
  // Ranges of groups of about equal work; bounds[i] is where piece i begins, in units of rows times
  // groups.
  int64_t work = 0;
  for (int64_t b = 0; b < tile.blocks; ++b)
    work += tile.rows(b) * groupsOf(job, b);
  const int64_t threads = pool.threads();
  const int64_t pieces = tokens <= 4 ? threads : 4 * threads;
  auto upPieces = [&](int64_t begin, int64_t end) {
    int64_t low = work * begin / pieces, high = work * end / pieces, at = 0;
    for (int64_t b = 0; b < tile.blocks; ++b) {
      int64_t groups = groupsOf(job, b), rows = tile.rows(b);
      if (rows == 0 || groups == 0)
        continue;
      // Groups whose work begins within [low, high).
      int64_t g0 = std::clamp<int64_t>((low - at + rows - 1) / rows, 0, groups);
      int64_t g1 = std::clamp<int64_t>((high - at + rows - 1) / rows, 0, groups);
      if (low <= at)
        g0 = 0;
      if (high <= at)
        g1 = 0;
      if (g0 < g1)
        hiddenUnits(job, tile, b, g0, g1);
      at += rows * groups;
    }
  };
  const int64_t panels = job.block.outPanels(), sharing = tokens <= 4 ? threads : 2 * threads;
  const int64_t step = columnBlock(job, tokens, (panels + sharing - 1) / sharing);
  auto downPieces = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      outputs(job, tile, t0, i * step, std::min(panels, (i + 1) * step));
  };
  const int64_t columnPieces = (panels + step - 1) / step;
  if (double(work) * 16 * double(job.block.in) < 60e3) {
    upPieces(0, pieces);
    downPieces(0, columnPieces);
    return;
  }
  pool.parallelFor(pieces, 1, upPieces);
  pool.parallelFor(columnPieces, 1, downPieces);
}

/// A dense block: each thread takes tiles of tokens all the way.
void runTiles(const Job &job, int64_t tokens) {
  // Tiles of equal size, at least two for each thread.
  const int64_t threads = ThreadPool::global().threads();
  int64_t tiles =
      std::max((tokens + tileTokens - 1) / tileTokens, std::min(2 * threads, tokens / 64));
  const int64_t panels = job.block.outPanels();
  ThreadPool::global().parallelFor(tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t t0 = tokens * i / tiles, t1 = tokens * (i + 1) / tiles;
      Tile16 tile = makeTile(job, t0, t1);
      for (int64_t b = 0; b < tile.blocks; ++b)
        if (tile.rows(b) > 0)
          hiddenUnits(job, tile, b, 0, groupsOf(job, b));
      int64_t step = columnBlock(job, t1 - t0, panels);
      for (int64_t p = 0; p < panels; p += step)
        outputs(job, tile, t0, p, std::min(panels, p + step));
    }
  });
}

void run(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens,
         const Routing *routing, float *y, int64_t ldy, const FfnEpilogue &epilogue) {
  if (tokens <= 0 || block.out == 0)
    return;
  // Skipped experts add their vector: all vectors to begin with, less those of the experts that
  // run.
  const bool skip = routing && !block.skip.empty();
  Job job{block, x, ldx, routing, y, ldy, epilogue, nullptr, nullptr};
  job.base = skip ? block.biasAndSkip.data() : block.downBias.data();
  job.skip = skip ? block.skip.data() : nullptr;
  job.few = tokens <= fewTokens;
  if (!routing)
    return tokens <= sharedTile ? runShared(job, 0, tokens) : runTiles(job, tokens);
  // About the hidden units of one token: the core's and those of experts of mean size.
  const int64_t core = block.firstGroup[1], chosen = routing->offsets[tokens] - routing->offsets[0];
  const double groups = double(core) + double(block.groups() - core) /
                                           double(std::max<int64_t>(1, block.experts)) *
                                           double(chosen) / double(tokens);
  const int64_t fit = static_cast<int64_t>(double(routedFloats) / (16 * std::max(1.0, groups)));
  const int64_t most = std::clamp(fit, tileTokens, routedTile);
  const int64_t tiles = (tokens + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i)
    runShared(job, tokens * i / tiles, tokens * (i + 1) / tiles);
}

} // namespace

void ffn(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens, float *y, int64_t ldy,
         const FfnEpilogue &epilogue) {
  run(block, x, ldx, tokens, nullptr, y, ldy, epilogue);
}

void experts(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue) {
  run(block, x, ldx, tokens, &routing, y, ldy, epilogue);
}

} // namespace uoe::rt::fast
