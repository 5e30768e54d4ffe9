// Attention without a matrix of scores: keys in blocks, with a running maximum and sum (Dao et al.,
// FlashAttention, 2022). A block of threads a (batch, head) and tile of queries. And positions
// turned into the queries and keys.
#pragma once
#include "Element.h"
#include "runtime/cuda/dispatch/Team.h"

namespace uoe::rt::cuda {

/// Elements from one index to the next of (batch, head, position); features are adjacent.
struct HeadStrides {
  int64_t batch = 0, head = 0, position = 0;
};

constexpr int kQueries = 16, kKeys = 32, kAttentionThreads = 128;
constexpr int kMostFeatures = 256; // of a head's values

/// As fast::AttentionArgs in float. bias or mask: strides of (batch, head, query) and of a key.
struct AttentionCall {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float *y = nullptr;
  int32_t batch = 0, heads = 0, kvHeads = 0, queries = 0, keys = 0, size = 0, valueSize = 0;
  HeadStrides qs, ks, vs, ys;
  float scale = 1, softcap = 0, emptyRow = NAN;
  bool causal = false;
  int64_t offset = 0, window = 0; // of query 0 among the keys; keys up to a query, 0 for all
  /// [batch] or null: a sample's last key. Then its queries are its last ones, or with `prompt` its
  /// first, and `offset` is not read.
  const int32_t *lastKeys = nullptr;
  bool prompt = false;
  const float *bias = nullptr;
  const uint8_t *mask = nullptr;
  HeadStrides bs;
  int64_t biasKey = 0;
  /// [batch + 1] or null: then positions starts[b] .. starts[b + 1] are b's queries and its keys,
  /// b being of `samples` ones again and again, and places [positions] say where a query and a key
  /// lie in the bias or mask.
  const int32_t *starts = nullptr, *places = nullptr;
  int32_t samples = 1;

  UOE_HOST_DEVICE int64_t firstOf(int64_t b) const { return starts ? starts[b] : 0; }
  UOE_HOST_DEVICE int64_t queriesOf(int64_t b) const {
    return starts ? starts[b + 1] - starts[b] : queries;
  }
  UOE_HOST_DEVICE int64_t keysOf(int64_t b) const {
    if (starts)
      return starts[b + 1] - starts[b];
    return lastKeys ? least<int64_t>(keys, int64_t(lastKeys[b]) + 1) : keys;
  }
  UOE_HOST_DEVICE int64_t offsetOf(int64_t b) const {
    return !lastKeys ? offset : prompt ? 0 : keysOf(b) - queries;
  }
  UOE_HOST_DEVICE int sharedFloats() const {
    return (kQueries + kKeys) * size + kKeys * valueSize + kQueries * kKeys + 3 * kQueries;
  }
};

/// The score of a key, -inf where it is left out.
UOE_HOST_DEVICE inline float maskedScore(const AttentionCall &call, float dot, int64_t b, int64_t h,
                                         int64_t query, int64_t key, int64_t offset) {
  float score = dot * call.scale;
  if (call.softcap != 0)
    score = call.softcap * tanhf(score / call.softcap);
  const int64_t own = query + offset;
  int64_t at = b * call.bs.batch + h * call.bs.head + query * call.bs.position + key * call.biasKey;
  if (call.starts) {
    const int32_t *places = call.places + call.starts[b];
    at = b % call.samples * call.bs.batch + places[query] * call.bs.position +
         places[key] * call.biasKey;
  }
  if (call.bias)
    score += call.bias[at];
  const bool out = (call.causal && key > own) || (call.window > 0 && key <= own - call.window) ||
                   (call.mask && !call.mask[at]);
  return out ? -INFINITY : score;
}

template <typename Grid>
UOE_HOST_DEVICE void attentionKernel(const Grid &grid, const AttentionCall &call) {
  const int tiles = ceilDiv(call.queries, kQueries);
  const int tile = grid.block() % tiles, bh = grid.block() / tiles;
  const int64_t b = bh / call.heads, h = bh % call.heads;
  const int64_t kv = h / (call.heads / call.kvHeads);
  const int first = tile * kQueries,
            rows = static_cast<int>(least<int64_t>(kQueries, call.queriesOf(b) - first));
  if (rows <= 0)
    return; // others have more
  const int64_t start = call.firstOf(b), batch = call.starts ? 0 : b;
  float *q = &grid.template shared<float>();
  float *k = q + kQueries * call.size, *v = k + kKeys * call.size;
  float *p = v + kKeys * call.valueSize, *highest = p + kQueries * kKeys;
  float *sum = highest + kQueries, *rescale = sum + kQueries;
  auto team = grid.team();
  // A thread has a query, and every 8th of its features.
  constexpr int perQuery = kAttentionThreads / kQueries, parts = kMostFeatures / perQuery;
  typename decltype(team)::template Registers<Sums<parts>> out(team);
  team.each([&](int thread) {
    unrolled<parts>([&](int i) { out[thread].value[i] = 0; });
    for (int i = thread; i < rows * call.size; i += kAttentionThreads)
      q[i] = call.q[batch * call.qs.batch + h * call.qs.head +
                    (start + first + i / call.size) * call.qs.position + i % call.size];
    if (thread < kQueries) {
      highest[thread] = -INFINITY;
      sum[thread] = 0;
    }
  });
  // No query of the tile sees beyond its own position.
  const int64_t offset = call.offsetOf(b);
  int64_t end = call.keysOf(b);
  if (call.causal)
    end = least<int64_t>(end, first + rows + offset);
  for (int64_t begin = 0; begin < end; begin += kKeys) {
    const int count = static_cast<int>(least<int64_t>(kKeys, end - begin));
    team.each([&](int thread) {
      for (int i = thread; i < count * call.size; i += kAttentionThreads)
        k[i] = call.k[batch * call.ks.batch + kv * call.ks.head +
                      (start + begin + i / call.size) * call.ks.position + i % call.size];
      for (int i = thread; i < count * call.valueSize; i += kAttentionThreads)
        v[i] = call.v[batch * call.vs.batch + kv * call.vs.head +
                      (start + begin + i / call.valueSize) * call.vs.position + i % call.valueSize];
    });
    team.each([&](int thread) {
      for (int i = thread; i < rows * count; i += kAttentionThreads) {
        const int row = i / count, key = i % count;
        float dot = 0;
        for (int f = 0; f < call.size; ++f)
          dot += q[row * call.size + f] * k[key * call.size + f];
        p[row * kKeys + key] = maskedScore(call, dot, b, h, first + row, begin + key, offset);
      }
    });
    team.each([&](int thread) {
      if (thread >= rows)
        return;
      float *own = p + thread * kKeys, found = highest[thread], part = 0;
      for (int key = 0; key < count; ++key)
        found = fmaxf(found, own[key]);
      const float scale = found == -INFINITY ? 1.0f : expf(highest[thread] - found);
      for (int key = 0; key < count; ++key) {
        own[key] = found == -INFINITY ? 0.0f : expf(own[key] - found);
        part += own[key];
      }
      highest[thread] = found;
      rescale[thread] = scale;
      sum[thread] = sum[thread] * scale + part;
    });
    team.each([&](int thread) {
      const int row = thread / perQuery;
      if (row >= rows)
        return;
      auto &own = out[thread].value;
      unrolled<parts>([&](int i) {
        const int f = thread % perQuery + i * perQuery;
        if (f < call.valueSize) {
          own[i] *= rescale[row];
          for (int key = 0; key < count; ++key)
            own[i] += p[row * kKeys + key] * v[key * call.valueSize + f];
        }
      });
    });
  }
  team.each([&](int thread) {
    const int row = thread / perQuery;
    if (row >= rows)
      return;
    float *y = call.y + batch * call.ys.batch + h * call.ys.head +
               (start + first + row) * call.ys.position;
    unrolled<parts>([&](int i) {
      const int f = thread % perQuery + i * perQuery;
      if (f < call.valueSize)
        y[f] = highest[row] == -INFINITY ? call.emptyRow : out[thread].value[i] / sum[row];
    });
  });
}

/// to [batch, heads, length, size]: the rows of `past` [batch, heads, pastLength, size] that are
/// valid, `rows` fresh ones behind them, turned by the angles at their positions, and zeros. With
/// `prompt` nothing precedes the fresh rows. A thread an element.
struct CacheCall {
  const float *past = nullptr, *fresh = nullptr; // past may be null
  float *to = nullptr;
  int64_t batch = 0, heads = 0, rows = 0, size = 0, length = 0, pastLength = 0;
  HeadStrides strides;                  // of fresh
  bool prompt = false, queries = false; // queries: fresh rows alone
  const int32_t *lastKeys = nullptr;    // [batch]
  // half 0: nothing is turned.
  const float *cos = nullptr, *sin = nullptr; // [limit, half]
  int64_t half = 0, limit = 0;
  bool interleaved = false;
  const void *positions = nullptr; // [batch, rows] or null: where the rows lie
  bool wide = true;                // int64, else int32
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

template <typename Grid> UOE_HOST_DEVICE void cacheKernel(const Grid &grid, const CacheCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.batch * call.heads * call.length * call.size)
      return;
    const int64_t f = i % call.size, at = i / call.size % call.length;
    const int64_t bh = i / call.size / call.length, b = bh / call.heads, h = bh % call.heads;
    const int64_t valid = int64_t(call.lastKeys[b]) + 1;
    int64_t before = call.prompt ? 0 : valid - call.rows;
    // The queries' launch knows no cache.
    const int64_t room = call.queries ? before : least(call.pastLength, call.length - call.rows);
    if (valid < 1 || before < 0 || (!call.prompt && before > room)) {
      *call.flag = call.mark;
      before = 0;
    }
    const int64_t kept = call.queries ? 0 : before, row = at - kept;
    if (row < 0) {
      call.to[i] = call.past ? call.past[(bh * call.pastLength + at) * call.size + f] : 0.0f;
      return;
    }
    if (row >= call.rows) {
      call.to[i] = 0;
      return;
    }
    const float *from =
        call.fresh + b * call.strides.batch + h * call.strides.head + row * call.strides.position;
    if (f >= 2 * call.half) {
      call.to[i] = from[f];
      return;
    }
    // Padding behind a short prompt takes any position: nobody sees it.
    int64_t position = before + row < valid ? before + row : 0;
    if (call.positions)
      position = call.wide ? static_cast<const int64_t *>(call.positions)[b * call.rows + row]
                           : static_cast<const int32_t *>(call.positions)[b * call.rows + row];
    if (position < 0 || position >= call.limit) {
      *call.flag = call.mark;
      position = 0;
    }
    const int64_t pair = call.interleaved ? f / 2 : f % call.half;
    const bool second = call.interleaved ? f % 2 == 1 : f >= call.half;
    const float x = from[call.interleaved ? 2 * pair : pair];
    const float y = from[call.interleaved ? 2 * pair + 1 : pair + call.half];
    const float c = call.cos[position * call.half + pair],
                s = call.sin[position * call.half + pair];
    call.to[i] = second ? x * s + y * c : x * c - y * s;
  });
}

/// y = x with the first 2 half features of each head turned by the angles at its position: pairs
/// (i, i + half), or neighbours where interleaved. A thread a pair or a feature that stays.
struct RotaryCall {
  const void *x = nullptr, *cos = nullptr, *sin = nullptr, *positions = nullptr;
  void *y = nullptr;
  DType type = DType::F32;
  bool interleaved = false, wide = true; // positions are int64, else int32
  int64_t batch = 0, heads = 0, rows = 0, size = 0, half = 0, limit = 0;
  HeadStrides strides;
  int32_t *flag = nullptr;
  int32_t mark = 0;
};

template <typename Grid>
UOE_HOST_DEVICE void rotaryKernel(const Grid &grid, const RotaryCall &call) {
  const int64_t items = call.size - call.half;
  grid.eachThread([&](int64_t i) {
    if (i >= call.batch * call.heads * call.rows * items)
      return;
    const int64_t item = i % items, row = i / items % call.rows;
    const int64_t h = i / items / call.rows % call.heads, b = i / items / call.rows / call.heads;
    const int64_t base =
        b * call.strides.batch + h * call.strides.head + row * call.strides.position;
    if (item >= call.half) {
      const int64_t at = base + item + call.half;
      return storeAs<float>(call.type, call.y, at, loadAs<float>(call.type, call.x, at));
    }
    int64_t position = b * call.rows + row;
    if (call.positions) {
      position = call.wide ? static_cast<const int64_t *>(call.positions)[position]
                           : static_cast<const int32_t *>(call.positions)[position];
      if (position < 0 || position >= call.limit) {
        *call.flag = call.mark;
        position = 0;
      }
    }
    const float c = loadAs<float>(call.type, call.cos, position * call.half + item);
    const float s = loadAs<float>(call.type, call.sin, position * call.half + item);
    const int64_t first = base + (call.interleaved ? 2 * item : item);
    const int64_t second = first + (call.interleaved ? 1 : call.half);
    const float x = loadAs<float>(call.type, call.x, first);
    const float y = loadAs<float>(call.type, call.x, second);
    storeAs<float>(call.type, call.y, first, x * c - y * s);
    storeAs<float>(call.type, call.y, second, y * c + x * s);
  });
}

/// What is added to the scores for padding, and an operator's own bias: to [batch, heads, queries,
/// keys] = filter where masked, else 0, plus `own`. A thread an element.
struct PaddingCall {
  const int32_t *mask = nullptr;
  const float *own = nullptr; // or null
  float *to = nullptr;
  enum Form : int32_t {
    Ends,       // mask [batch]: keys from there on are padding
    EndsStarts, // [2 batch]: and those before
    Keys,       // [batch, keys]: 0 where masked
    Pairs,      // [batch, queries, keys]
  } form = Ends;
  float filter = 0;
  int64_t batch = 0, heads = 1, queries = 1, keys = 0;
  HeadStrides strides; // of own; position: of a query
};

template <typename Grid>
UOE_HOST_DEVICE void paddingKernel(const Grid &grid, const PaddingCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.batch * call.heads * call.queries * call.keys)
      return;
    const int64_t key = i % call.keys, q = i / call.keys % call.queries;
    const int64_t bh = i / call.keys / call.queries, h = bh % call.heads, b = bh / call.heads;
    bool seen;
    switch (call.form) {
    case PaddingCall::Ends:
      seen = key < call.mask[b];
      break;
    case PaddingCall::EndsStarts:
      seen = key < call.mask[b] && key >= call.mask[b + call.batch];
      break;
    case PaddingCall::Keys:
      seen = call.mask[b * call.keys + key] > 0;
      break;
    default:
      seen = call.mask[(b * call.queries + q) * call.keys + key] > 0;
    }
    const float own = call.own ? call.own[b * call.strides.batch + h * call.strides.head +
                                          q * call.strides.position + key]
                               : 0.0f;
    call.to[i] = (seen ? 0.0f : call.filter) + own;
  });
}

} // namespace uoe::rt::cuda
