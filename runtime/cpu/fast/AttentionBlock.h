// What the two forms of attention share. Internal to runtime/cpu/fast.
#pragma once
#include "Attention.h"
#include "simd/Table.h"
#include <algorithm>

namespace uoe::rt::fast {

/// Query row r of a key head: the heads of its group one after the other, each with all queries.
struct AttentionRows {
  const AttentionArgs &args;
  int64_t batch, kvHead;

  int64_t group() const { return args.heads / args.kvHeads; }
  int64_t count() const { return group() * args.queries; }
  int64_t head(int64_t r) const { return kvHead * group() + r / args.queries; }
  int64_t position(int64_t r) const { return r % args.queries; }
  const float *query(int64_t r) const {
    return args.q + batch * args.qStrides.batch + head(r) * args.qStrides.head +
           position(r) * args.qStrides.position;
  }
  const float *key(int64_t t) const {
    return args.k + batch * args.kStrides.batch + kvHead * args.kStrides.head +
           t * args.kStrides.position;
  }
  const float *value(int64_t t) const {
    return args.v + batch * args.vStrides.batch + kvHead * args.vStrides.head +
           t * args.vStrides.position;
  }
  /// The keys [first, last) that position, window and length leave to row r.
  void range(int64_t r, int64_t &first, int64_t &last) const {
    first = 0;
    last = args.kvLengths ? std::min(args.keys, args.kvLengths[batch]) : args.keys;
    int64_t own = position(r) + (args.offsets ? args.offsets[batch] : args.offset);
    if (args.causal)
      last = std::min(last, own + 1);
    if (args.window > 0)
      first = std::max<int64_t>(0, own - args.window + 1);
    last = std::max<int64_t>(0, last);
    first = std::min(first, last);
  }
  /// Turns products of row r with keys t0.. into scores; returns the largest. `spare` takes n
  /// floats and n bytes.
  float score(int64_t r, int64_t t0, int64_t n, float *x, float *spare) const;
  /// The output row from its weighted values and the sum of its weights.
  void write(int64_t r, const float *weighted, float sum) const;
};

/// Running maximum and sum of a row's exponentials.
struct SoftmaxState {
  float most = -INFINITY, sum = 0;

  /// Takes in n scores with the given maximum and makes them weights; returns what older sums must
  /// be scaled by.
  float absorb(float *x, int64_t n, float maximum) {
    float now = std::max(most, maximum);
    if (std::isnan(maximum))
      now = maximum;
    // exp(-inf - -inf) must be 0 here, not NaN: a later block may still have keys.
    float shift = now == -INFINITY ? 0.0f : now;
    float factor = now == most ? 1.0f : std::exp(most - shift);
    sum = sum * factor + kernels().expRow(x, n, shift);
    most = now;
    return factor;
  }
};

void attentionDecode(const AttentionArgs &args);

} // namespace uoe::rt::fast
