// Attention of a few query rows: bound by reading keys and values, so they are read once, unpacked,
// in chunks of keys that the threads share. Chunks depend on the number of keys alone: so do the
// results.
#include "AttentionBlock.h"
#include "Memory.h"
#include "runtime/core/ThreadPool.h"
#include <cstring>

namespace uoe::rt::fast {

namespace {

constexpr int64_t chunk = 256;

/// Partial result of a chunk for one query row, followed by the weighted values.
struct Partial {
  float most, sum;
};

void attendChunk(const AttentionRows &rows, int64_t t0, int64_t t1, float *out, int64_t rowFloats) {
  const AttentionArgs &a = rows.args;
  const Kernels &kernel = kernels();
  const int64_t count = rows.count(), stride = chunk + 16;
  // Nothing past the last key in use is read: a cache may hold anything there.
  int64_t most = 0;
  for (int64_t r = 0; r < count; ++r) {
    int64_t first, last;
    rows.range(r, first, last);
    most = std::max(most, last);
  }
  const int64_t n = std::max<int64_t>(0, std::min(t1, most) - t0);
  const int64_t width = (a.valueSize + 15) / 16 * 16, whole = a.valueSize / 16;
  float *scores = scratch<float>(Scratch::Scores, (count + 2) * stride);
  float *spare = scores + count * stride;
  const float *pointers[maxTileRows];
  // With one query the rows are the heads of the group, evenly spaced.
  const int64_t together = a.queries == 1 ? count : 1;
  for (int64_t r = 0; r < count; r += together)
    kernel.dots(together, n, a.size, rows.query(r), a.qStrides.head, rows.key(t0),
                a.kStrides.position, scores + r * stride, stride);
  for (int64_t r = 0; r < count; ++r)
    pointers[r] = scores + r * stride;
  for (int64_t r = 0; r < count; ++r) {
    float *row = scores + r * stride;
    int64_t first, last;
    rows.range(r, first, last);
    first = std::clamp<int64_t>(first - t0, 0, n);
    last = std::clamp<int64_t>(last - t0, first, n);
    SoftmaxState state;
    if (first < last)
      state.absorb(row + first, last - first,
                   rows.score(r, t0 + first, last - first, row + first, spare));
    std::memset(row, 0, static_cast<size_t>(first) * sizeof(float));
    std::memset(row + last, 0, static_cast<size_t>(n - last) * sizeof(float));
    Partial partial{state.most, state.sum};
    std::memcpy(out + r * rowFloats, &partial, sizeof partial);
  }
  Tile t;
  t.k = n;
  t.bk = a.vStrides.position;
  t.bp = 16;
  t.ldc = rowFloats;
  for (int64_t r = 0; r < count; r += kernel.mr) {
    t.m = std::min<int64_t>(kernel.mr, count - r);
    t.rows = pointers + r;
    t.b = rows.value(t0);
    t.panels = whole;
    t.c = out + r * rowFloats + 16;
    kernel.rowTile(t);
  }
  if (whole * 16 == width)
    return;
  // The last features, which a whole panel would read past.
  int64_t rest = a.valueSize - whole * 16;
  float *panel = scratch<float>(Scratch::Values, chunk * 16);
  std::memset(panel, 0, static_cast<size_t>(n * 16) * sizeof(float));
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(panel + i * 16, rows.value(t0 + i) + whole * 16,
                static_cast<size_t>(rest) * sizeof(float));
  t.bk = 16;
  t.panels = 1;
  for (int64_t r = 0; r < count; r += kernel.mr) {
    t.m = std::min<int64_t>(kernel.mr, count - r);
    t.rows = pointers + r;
    t.b = panel;
    t.c = out + r * rowFloats + 16 + whole * 16;
    kernel.rowTile(t);
  }
}

/// Adds up the chunks of one query row, in order.
void merge(const AttentionRows &rows, int64_t r, const float *parts, int64_t chunks, int64_t step) {
  const AttentionArgs &a = rows.args;
  const int64_t width = (a.valueSize + 15) / 16 * 16;
  float *sums = scratch<float>(Scratch::State, width);
  std::memset(sums, 0, static_cast<size_t>(width) * sizeof(float));
  float most = -INFINITY, total = 0;
  Partial partial;
  for (int64_t c = 0; c < chunks; ++c) {
    std::memcpy(&partial, parts + c * step, sizeof partial);
    most = std::isnan(partial.most) ? partial.most : std::max(most, partial.most);
  }
  for (int64_t c = 0; c < chunks; ++c) {
    std::memcpy(&partial, parts + c * step, sizeof partial);
    if (partial.most == -INFINITY)
      continue;
    float factor = partial.most == most ? 1.0f : std::exp(partial.most - most);
    total += factor * partial.sum;
    const float *weighted = parts + c * step + 16;
    for (int64_t i = 0; i < width; ++i)
      sums[i] += factor * weighted[i];
  }
  if (a.sink && most != -INFINITY)
    total += std::exp(a.sink[rows.head(r)] - most);
  rows.write(r, sums, total);
}

} // namespace

void attentionDecode(const AttentionArgs &a) {
  const int64_t heads = a.batch * a.kvHeads, count = a.heads / a.kvHeads * a.queries;
  const int64_t rowFloats = 16 + (a.valueSize + 15) / 16 * 16;
  // Only chunks that some row may look at.
  int64_t least = a.keys, most = 0;
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t r = 0; r < a.queries; ++r) {
      int64_t first, last;
      AttentionRows{a, b, 0}.range(r, first, last);
      least = std::min(least, first);
      most = std::max(most, last);
    }
  int64_t c0 = least / chunk, chunks = std::max<int64_t>(0, (most + chunk - 1) / chunk - c0);
  float *parts = scratch<float>(Scratch::Work, heads * chunks * count * rowFloats);
  auto part = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t head = i / chunks, t0 = (c0 + i % chunks) * chunk;
      attendChunk({a, head / a.kvHeads, head % a.kvHeads}, t0, std::min(most, t0 + chunk),
                  parts + i * count * rowFloats, rowFloats);
    }
  };
  double work = double(heads * count) * double(most - least) * double(a.size + a.valueSize);
  if (work < 60e3)
    part(0, heads * chunks);
  else
    ThreadPool::global().parallelFor(heads * chunks, 1, part);
  for (int64_t i = 0; i < heads; ++i)
    for (int64_t r = 0; r < count; ++r)
      merge({a, i / a.kvHeads, i % a.kvHeads}, r, parts + (i * chunks * count + r) * rowFloats,
            chunks, count * rowFloats);
}

} // namespace uoe::rt::fast
