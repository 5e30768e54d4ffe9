#include "Attention.h"
#include "AttentionBlock.h"
#include "Memory.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <cstring>
#include <vector>

namespace uoe::rt::fast {

namespace {

constexpr int64_t keyBlock = 512;
/// Query rows of a task: enough that packing the keys costs little, few enough that their state
/// stays in L2.
constexpr int64_t taskRows = 192;
/// Query rows of a key head up to which keys are read unpacked.
constexpr int64_t fewRows = 8;

/// Copies strided features of rows; used where the feature stride is not 1.
void copyRow(const float *from, int64_t stride, int64_t n, float *to) {
  if (stride == 1)
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
  else
    for (int64_t i = 0; i < n; ++i)
      to[i] = from[i * stride];
}

/// Keys t0..t1 as panels of 16 keys, [size][16] each; values as panels of 16 features, [t1 -
/// t0][16] each.
struct PackedBlock {
  const float *of = nullptr;
  int64_t first = 0, last = 0;
  float *keys = nullptr, *values = nullptr;

  void fill(const AttentionRows &rows, int64_t t0, int64_t t1) {
    const AttentionArgs &a = rows.args;
    if (of == rows.key(0) && first <= t0 && t1 <= last && first == t0)
      return;
    int64_t n = t1 - t0, panels = (n + 15) / 16, valuePanels = (a.valueSize + 15) / 16;
    keys = scratch<float>(Scratch::Keys, panels * 16 * a.size + 16);
    values = scratch<float>(Scratch::Values, valuePanels * 16 * n + 16);
    bool strided = a.kStrides.feature != 1;
    float *copies = strided ? scratch<float>(Scratch::Work, 16 * a.size) : nullptr;
    for (int64_t p = 0; p < panels; ++p) {
      const float *columns[16];
      int64_t width = std::min<int64_t>(16, n - p * 16);
      for (int64_t j = 0; j < width; ++j) {
        columns[j] = rows.key(t0 + p * 16 + j);
        if (strided) {
          copyRow(columns[j], a.kStrides.feature, a.size, copies + j * a.size);
          columns[j] = copies + j * a.size;
        }
      }
      kernels().packPanel(columns, width, a.size, keys + p * 16 * a.size);
    }
    for (int64_t t = 0; t < n; ++t) {
      const float *from = rows.value(t0 + t);
      for (int64_t p = 0; p < valuePanels; ++p) {
        float *to = values + (p * n + t) * 16;
        int64_t width = std::min<int64_t>(16, a.valueSize - p * 16);
        copyRow(from + p * 16 * a.vStrides.feature, a.vStrides.feature, width, to);
        std::memset(to + width, 0, static_cast<size_t>(16 - width) * sizeof(float));
      }
    }
    of = rows.key(0);
    first = t0;
    last = t1;
  }
};

/// Query rows r0..r1 of one key head.
void attendRows(const AttentionRows &rows, int64_t r0, int64_t r1, PackedBlock &block) {
  const AttentionArgs &a = rows.args;
  const Kernels &kernel = kernels();
  const int64_t count = r1 - r0, width = (a.valueSize + 15) / 16 * 16;
  // A row stride that is an odd number of lines keeps the rows of a tile in different cache sets.
  const int64_t stride = keyBlock + 16;
  float *sums = scratch<float>(Scratch::State, count * width);
  std::memset(sums, 0, static_cast<size_t>(count * width) * sizeof(float));
  SoftmaxState states[taskRows];
  float *scores = scratch<float>(Scratch::Scores, kernel.mr * stride + stride * 2);
  float *spare = scores + kernel.mr * stride;
  float *packed = scratch<float>(Scratch::RowPack, kernel.mr * a.size + 16);
  float *copies =
      a.qStrides.feature == 1 ? nullptr : scratch<float>(Scratch::Rows, kernel.mr * a.size);

  int64_t least = a.keys, most = 0;
  for (int64_t r = r0; r < r1; ++r) {
    int64_t first, last;
    rows.range(r, first, last);
    if (first < last) {
      least = std::min(least, first);
      most = std::max(most, last);
    }
  }
  for (int64_t t0 = least / keyBlock * keyBlock; t0 < most; t0 += keyBlock) {
    block.fill(rows, t0, std::min(most, t0 + keyBlock));
    for (int64_t i = 0; i < count; i += kernel.mr) {
      int64_t m = std::min<int64_t>(kernel.mr, count - i);
      int64_t first[maxTileRows], last[maxTileRows], from = keyBlock, to = 0;
      for (int64_t j = 0; j < m; ++j) {
        rows.range(r0 + i + j, first[j], last[j]);
        first[j] = std::clamp<int64_t>(first[j] - t0, 0, block.last - t0);
        last[j] = std::clamp<int64_t>(last[j] - t0, first[j], block.last - t0);
        if (first[j] < last[j]) {
          from = std::min(from, first[j] / 16 * 16);
          to = std::max(to, last[j]);
        }
      }
      if (from >= to)
        continue;
      const float *pointers[maxTileRows];
      for (int64_t j = 0; j < m; ++j) {
        pointers[j] = rows.query(r0 + i + j);
        if (copies) {
          copyRow(pointers[j], a.qStrides.feature, a.size, copies + j * a.size);
          pointers[j] = copies + j * a.size;
        }
      }
      kernel.packRows(pointers, m, a.size, packed);
      Tile t;
      t.m = m;
      t.k = a.size;
      t.panels = (to - from + 15) / 16;
      t.a = packed;
      t.b = block.keys + from * a.size;
      t.bk = 16;
      t.bp = 16 * a.size;
      t.c = scores;
      t.ldc = stride;
      kernel.packedTile(t);
      for (int64_t j = 0; j < m; ++j) {
        float *row = scores + j * stride, *own = sums + (i + j) * width;
        int64_t begin = first[j] - from, n = last[j] - first[j];
        pointers[j] = row;
        if (n == 0) {
          std::memset(row, 0, static_cast<size_t>(to - from) * sizeof(float));
          continue;
        }
        float maximum = rows.score(r0 + i + j, t0 + first[j], n, row + begin, spare);
        float factor = states[i + j].absorb(row + begin, n, maximum);
        std::memset(row, 0, static_cast<size_t>(begin) * sizeof(float));
        std::memset(row + begin + n, 0, static_cast<size_t>(to - from - begin - n) * sizeof(float));
        if (factor != 1.0f)
          kernel.scaleRow(own, factor, own, width);
      }
      t.k = to - from;
      t.panels = width / 16;
      t.rows = pointers;
      t.b = block.values + from * 16;
      t.bp = 16 * (block.last - block.first);
      t.c = sums + i * width;
      t.ldc = width;
      t.accumulate = true;
      kernel.rowTile(t);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    SoftmaxState &state = states[i];
    if (a.sink && state.most != -INFINITY)
      state.sum += std::exp(a.sink[rows.head(r0 + i)] - state.most);
    rows.write(r0 + i, sums + i * width, state.sum);
  }
}

void checkSizes(const AttentionArgs &a) {
  check(a.batch >= 0 && a.queries >= 0 && a.keys >= 0 && a.size >= 0 && a.valueSize >= 0,
        "attention: negative size");
  check(a.heads == 0 || (a.kvHeads > 0 && a.heads % a.kvHeads == 0), "attention: ", a.heads,
        " heads are no multiple of ", a.kvHeads, " key heads");
}

} // namespace

float AttentionRows::score(int64_t r, int64_t t0, int64_t n, float *x, float *spare) const {
  ScoreRow s;
  s.x = x;
  s.n = n;
  s.scale = args.scale;
  s.softcap = args.softcap;
  s.capAfterBias = args.softcapAfterBias;
  const int32_t *places = args.places;
  // Elements of the row for keys t0.., copied to `to` where they do not lie side by side.
  auto row = [&](const auto *from, const Strides4 &by, auto *to) {
    const int64_t query = places ? places[position(r)] : position(r), step = by.feature;
    from += batch * by.batch + head(r) * by.head + query * by.position;
    if (!places && step == 1)
      return from + t0;
    for (int64_t i = 0; i < n; ++i)
      to[i] = from[(places ? places[t0 + i] : t0 + i) * step];
    return static_cast<decltype(from)>(to);
  };
  if (args.bias)
    s.bias = row(args.bias, args.biasStrides, spare);
  if (args.mask)
    s.mask = row(args.mask, args.maskStrides, reinterpret_cast<uint8_t *>(spare + n));
  return kernels().scoreRow(s);
}

void AttentionRows::write(int64_t r, const float *weighted, float sum) const {
  const Strides4 &by = args.outputStrides;
  float *out = args.output + batch * by.batch + head(r) * by.head + position(r) * by.position;
  if (by.feature == 1 && sum != 0.0f)
    return kernels().scaleRow(weighted, 1.0f / sum, out, args.valueSize);
  const float empty = args.sink ? 0.0f : args.emptyRow; // a sink alone takes all the weight
  for (int64_t i = 0; i < args.valueSize; ++i)
    out[i * by.feature] = sum == 0.0f ? empty : weighted[i] * (1.0f / sum);
}

static bool isEmpty(const AttentionArgs &a) {
  return a.batch == 0 || a.heads == 0 || a.queries == 0 || a.valueSize == 0;
}

/// Query rows of a key head.
static int64_t rowsPerHead(const AttentionArgs &a) {
  return a.heads / a.kvHeads * a.queries;
}

static void attendAll(const AttentionArgs *list, size_t count) {
  // Tasks of each: key heads times pieces of their query rows.
  int64_t heads = 0;
  double work = 0;
  for (size_t i = 0; i < count; ++i) {
    const AttentionArgs &a = list[i];
    heads += isEmpty(a) ? 0 : a.batch * a.kvHeads;
    work += double(a.batch * a.heads) * double(a.queries) * double(a.keys) *
            double(a.size + a.valueSize);
  }
  ThreadPool &pool = ThreadPool::global();
  std::vector<int64_t> pieces(count), starts(count + 1);
  for (size_t i = 0; i < count; ++i) {
    // Several tasks for each thread, unless that would make them so small that packing keys
    // dominates.
    const int64_t rows = isEmpty(list[i]) ? 0 : rowsPerHead(list[i]);
    pieces[i] = (rows + taskRows - 1) / taskRows;
    while (rows > 0 && heads * pieces[i] < 4 * pool.threads() && rows / (pieces[i] + 1) >= 64)
      ++pieces[i];
    starts[i + 1] = starts[i] + list[i].batch * list[i].kvHeads * pieces[i];
  }
  auto part = [&](int64_t begin, int64_t end) {
    PackedBlock block;
    auto i = static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), begin) -
                                 starts.begin() - 1);
    for (int64_t task = begin; task < end; ++task) {
      while (task >= starts[i + 1])
        ++i;
      const AttentionArgs &a = list[i];
      const int64_t head = (task - starts[i]) / pieces[i], piece = (task - starts[i]) % pieces[i];
      const int64_t rows = rowsPerHead(a);
      attendRows({a, head / a.kvHeads, head % a.kvHeads}, rows * piece / pieces[i],
                 rows * (piece + 1) / pieces[i], block);
    }
  };
  if (work < 60e3)
    part(0, starts[count]);
  else
    pool.parallelFor(starts[count], 1, part);
}

void attention(const AttentionArgs &a) {
  checkSizes(a);
  if (isEmpty(a))
    return;
  if (rowsPerHead(a) <= fewRows && a.kStrides.feature == 1 && a.vStrides.feature == 1 &&
      a.qStrides.feature == 1)
    return attentionDecode(a);
  attendAll(&a, 1);
}

void attention(const std::vector<AttentionArgs> &list) {
  for (const AttentionArgs &a : list)
    checkSizes(a);
  attendAll(list.data(), list.size());
}

} // namespace uoe::rt::fast
