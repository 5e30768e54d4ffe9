// com.microsoft GroupQueryAttention.
#include "AttentionCore.h"
#include "Numeric.h"
#include "Register.h"
#include "Rotary.h"
#include <cmath>

namespace uoe::rt {
namespace {

/// Where rotary positions and the cache's rows of one call lie, per batch.
struct Sequence {
  std::vector<int64_t> total;  // valid keys, the fresh ones included
  std::vector<int64_t> offset; // position of the first query
  bool prompt = false; // nothing precedes the queries; shorter sequences are padded on the right
};

template <typename T>
void rotateHeads(const T *from, const AttentionStrides &fromStrides, T *to,
                 const AttentionStrides &toStrides, const std::vector<int64_t> &positions,
                 const Tensor &cosines, const Tensor &sines, bool interleaved, int64_t batch,
                 int64_t heads, int64_t rows, int64_t size) {
  int64_t half = cosines.dim(1);
  ThreadPool::global().parallelFor(
      batch * rows, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, heads * size)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t b = i / rows, r = i % rows;
          const T *c = cosines.data<T>() + positions[i] * half;
          const T *s = sines.data<T>() + positions[i] * half;
          for (int64_t h = 0; h < heads; ++h)
            rotateRow(from + b * fromStrides.batch + h * fromStrides.head + r * fromStrides.row,
                      to + b * toStrides.batch + h * toStrides.head + r * toStrides.row, c, s, half,
                      interleaved, size);
        }
      });
}

/// Writes the fresh rows behind each batch's valid past; the rest of the buffer is zero.
template <typename T>
Tensor present(const Tensor *past, const T *fresh, const AttentionStrides &strides,
               const Sequence &sequence, int64_t batch, int64_t heads, int64_t rows, int64_t length,
               int64_t size) {
  Tensor result(DTypeOf<T>::value, {batch, heads, length, size});
  T *to = result.data<T>();
  int64_t pastLength = past ? past->dim(2) : 0;
  ThreadPool::global().parallelFor(batch * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t b = i / heads, kept = sequence.prompt ? 0 : sequence.offset[b];
      T *block = to + i * length * size;
      if (kept > 0)
        std::copy_n(past->data<T>() + i * pastLength * size, kept * size, block);
      const T *from = fresh + b * strides.batch + i % heads * strides.head;
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(from + r * strides.row, size, block + (kept + r) * size);
      std::fill(block + (kept + rows) * size, block + length * size, T(0));
    }
  });
  return result;
}

/// Inputs: query, key, value, past key, past value, seqlens_k (keys - 1 of each batch), total
/// length, cos, sin, position_ids, attention bias, head sink. Without key and value the query packs
/// all three.
template <typename T> void groupQuery(KernelCall &call) {
  const Node &node = call.node;
  Tensor query = inputAs<T>(call, 0), key, value;
  int64_t heads = node.integer("num_heads", 0), kvHeads = node.integer("kv_num_heads", 0);
  check(heads > 0 && kvHeads > 0 && heads % kvHeads == 0, node.op, ": kv_num_heads (", kvHeads,
        ") must divide num_heads (", heads, ")");
  check(query.rank() == 3, node.op, ": query must have shape (batch, rows, width), found ",
        toString(query.shape()));
  int64_t batch = query.dim(0), rows = query.dim(1), width = query.dim(2), size;
  AttentionProblem<T> p;
  p.q = query.data<T>();
  if (call.has(1)) {
    key = inputAs<T>(call, 1);
    check(call.has(2), node.op, ": value is missing");
    value = inputAs<T>(call, 2);
    check(width % heads == 0, node.op, ": num_heads (", heads,
          ") must divide the query's width, found shape ", toString(query.shape()));
    size = width / heads;
    Shape expected{batch, rows, kvHeads * size};
    check(key.shape() == expected && value.shape() == expected, node.op,
          ": key and value must have shape ", toString(expected), ", found ", toString(key.shape()),
          " and ", toString(value.shape()));
    p.qs = rowMajor(heads, rows, size);
    p.k = key.data<T>();
    p.v = value.data<T>();
    p.ks = p.vs = rowMajor(kvHeads, rows, size);
  } else {
    check(width % (heads + 2 * kvHeads) == 0, node.op,
          ": a packed query's width must be a multiple of ", heads + 2 * kvHeads, ", found shape ",
          toString(query.shape()));
    size = width / (heads + 2 * kvHeads);
    p.k = p.q + heads * size;
    p.v = p.k + kvHeads * size;
    p.qs = p.ks = p.vs = {rows * width, size, width};
  }
  std::vector<int64_t> lengths = toInts(call.in(5).reshaped({call.in(5).size()}), "seqlens_k");
  int64_t total = toInt(call.in(6), "total_sequence_length");
  check(static_cast<int64_t>(lengths.size()) == batch, node.op, ": seqlens_k must have ", batch,
        " elements, found shape ", toString(call.in(5).shape()));
  check(call.has(3) == call.has(4), node.op,
        ": past_key and past_value come together or not at all");
  Tensor pastKey, pastValue;
  int64_t pastLength = 0;
  if (call.has(3)) {
    pastKey = inputAs<T>(call, 3);
    pastValue = inputAs<T>(call, 4);
    pastLength = pastKey.rank() == 4 ? pastKey.dim(2) : 0;
    Shape expected{batch, kvHeads, pastLength, size};
    check(pastKey.shape() == expected && pastValue.shape() == expected, node.op,
          ": past_key and past_value must have shape (", batch, ", ", kvHeads, ", past, ", size,
          "), found ", toString(pastKey.shape()), " and ", toString(pastValue.shape()));
  }
  int64_t length = std::max(pastLength, total);
  Sequence sequence;
  sequence.prompt = rows == total;
  for (int64_t b = 0; b < batch; ++b) {
    int64_t valid = lengths[b] + 1, before = sequence.prompt ? 0 : valid - rows;
    check(valid >= 1 && valid <= total && before >= 0 && before <= pastLength &&
              before + rows <= length,
          node.op, ": seqlens_k[", b, "] = ", lengths[b], " does not fit ", rows,
          " rows, a cache of ", pastLength, " and a total of ", total);
    sequence.total.push_back(valid);
    sequence.offset.push_back(before);
  }
  Tensor rotatedQ, rotatedK;
  if (node.integer("do_rotary", 0)) {
    Tensor cosines = inputAs<T>(call, 7), sines = inputAs<T>(call, 8);
    check(cosines.rank() == 2 && cosines.shape() == sines.shape() && 2 * cosines.dim(1) <= size,
          node.op, ": cos_cache and sin_cache must be equal matrices of at most ", size / 2,
          " columns, found ", toString(cosines.shape()), " and ", toString(sines.shape()));
    std::vector<int64_t> positions(batch * rows);
    if (call.has(9)) {
      check(call.in(9).size() == batch * rows, node.op, ": position_ids must have shape [", batch,
            ", ", rows, "], found ", toString(call.in(9).shape()));
      positions = toInts(call.in(9).reshaped({batch * rows}), "position_ids");
    } else {
      // Padding behind a short prompt takes any position: nobody sees it.
      for (int64_t i = 0; i < batch * rows; ++i) {
        int64_t position = sequence.offset[i / rows] + i % rows;
        positions[i] = position < sequence.total[i / rows] ? position : 0;
      }
    }
    for (int64_t position : positions)
      check(position >= 0 && position < cosines.dim(0), node.op, ": positions must be in [0, ",
            cosines.dim(0), ") of cos_cache, found ", position);
    bool interleaved = node.integer("rotary_interleaved", 0);
    rotatedQ = Tensor(DTypeOf<T>::value, {batch, heads, rows, size});
    rotatedK = Tensor(DTypeOf<T>::value, {batch, kvHeads, rows, size});
    AttentionStrides toQ = headMajor(heads, rows, size), toK = headMajor(kvHeads, rows, size);
    rotateHeads(p.q, p.qs, rotatedQ.data<T>(), toQ, positions, cosines, sines, interleaved, batch,
                heads, rows, size);
    rotateHeads(p.k, p.ks, rotatedK.data<T>(), toK, positions, cosines, sines, interleaved, batch,
                kvHeads, rows, size);
    p.q = rotatedQ.data<T>();
    p.k = rotatedK.data<T>();
    p.qs = toQ;
    p.ks = toK;
  }
  Tensor presentKey = present<T>(call.has(3) ? &pastKey : nullptr, p.k, p.ks, sequence, batch,
                                 kvHeads, rows, length, size);
  Tensor presentValue = present<T>(call.has(3) ? &pastValue : nullptr, p.v, p.vs, sequence, batch,
                                   kvHeads, rows, length, size);
  p.batch = batch;
  p.heads = heads;
  p.kvHeads = kvHeads;
  p.queries = rows;
  p.keys = length;
  p.headSize = p.valueSize = size;
  p.k = presentKey.data<T>();
  p.v = presentValue.data<T>();
  p.ks = p.vs = headMajor(kvHeads, length, size);
  p.offset = sequence.offset.data();
  p.validKeys = sequence.total.data();
  p.causal = true;
  int64_t window = node.integer("local_window_size", -1);
  p.leftWindow = window > 0 ? window - 1 : -1; // a window counts the query itself
  T scale = static_cast<T>(node.real("scale", 0));
  p.scale = scale == T(0) ? T(1) / std::sqrt(static_cast<T>(size)) : scale;
  p.softcap = static_cast<T>(node.real("softcap", 0));
  Tensor bias, sink;
  if (call.has(10)) {
    bias = inputAs<T>(call, 10);
    check(bias.rank() == 4 && (bias.dim(0) == batch || bias.dim(0) == 1) &&
              (bias.dim(1) == heads || bias.dim(1) == 1) && bias.dim(2) == rows &&
              bias.dim(3) >= total,
          node.op, ": attention_bias must have shape [", batch, " or 1, ", heads, " or 1, ", rows,
          ", ", total, "], found ", toString(bias.shape()));
    auto strides = broadcastStrides(bias.shape(), {batch, heads, rows, bias.dim(3)});
    p.bias = bias.data<T>();
    p.bs = {strides[0], strides[1], strides[2]};
    p.biasKeys = bias.dim(3);
  }
  std::vector<T> zeros;
  if (call.has(11)) {
    sink = inputAs<T>(call, 11);
    check(sink.size() == heads, node.op, ": head_sink must have ", heads, " elements, found shape ",
          toString(sink.shape()));
    p.sink = sink.data<T>();
  } else if (node.integer("smooth_softmax", 0)) {
    zeros.assign(heads, T(0));
    p.sink = zeros.data();
  }
  Tensor result(DTypeOf<T>::value, {batch, rows, heads * size});
  p.out = result.data<T>();
  p.os = rowMajor(heads, rows, size);
  attend(p);
  DType type = call.in(0).dtype();
  setReal(call, 0, result, type);
  if (call.wants(1))
    setReal(call, 1, presentKey, type);
  if (call.wants(2))
    setReal(call, 2, presentValue, type);
}

void runGroupQuery(KernelCall &call) {
  withCompute(call.in(0).dtype(), "GroupQueryAttention: query",
              [&](auto zero) { groupQuery<decltype(zero)>(call); });
}

} // namespace

void registerGroupQueryAttention(KernelTable &table) {
  table.add("com.microsoft", "GroupQueryAttention", runGroupQuery);
}

} // namespace uoe::rt
