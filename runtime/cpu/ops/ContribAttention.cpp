// com.microsoft Attention, QAttention, MultiHeadAttention and RelativePositionBias.
#include "AttentionCore.h"
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "QuantizedMatMul.h"
#include "Register.h"
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// What is added to the logits: the padding mask (masked: `filter`, not -inf, so that a fully
/// masked row stays a softmax of its scores) and the operator's own bias.
template <typename T> struct Bias {
  Tensor tensor; // (batch or 1, heads or 1, queries or 1, keys)
  void attach(AttentionProblem<T> &p) const {
    if (tensor.dtype() == DType::None)
      return;
    auto strides = broadcastStrides(tensor.shape(), {p.batch, p.heads, p.queries, tensor.dim(3)});
    p.bias = tensor.data<T>();
    p.bs = {strides[0], strides[1], strides[2]};
    p.biasKeys = tensor.dim(3);
  }
};

/// mask is int32: (batch) end of the keys; (2·batch) ends, then starts; (batch, keys) or (batch,
/// queries, keys) with 0 where masked.
template <typename T>
Tensor paddingMask(const Node &node, const Tensor &mask, int64_t batch, int64_t queries,
                   int64_t keys, T filter) {
  expectType(mask, DType::I32, "the padding mask");
  const int32_t *from = mask.data<int32_t>();
  bool perQuery = mask.rank() == 3;
  if (mask.rank() == 1) {
    check(mask.size() == batch || mask.size() == 2 * batch, node.op,
          ": a padding mask of one dimension must have ", batch, " or ", 2 * batch,
          " elements, found shape ", toString(mask.shape()));
    Tensor result(DTypeOf<T>::value, {batch, 1, 1, keys});
    for (int64_t b = 0; b < batch; ++b) {
      int64_t end = from[b], start = mask.size() == 2 * batch ? from[b + batch] : 0;
      for (int64_t j = 0; j < keys; ++j)
        result.data<T>()[b * keys + j] = j >= start && j < end ? T(0) : filter;
    }
    return result;
  }
  Shape expected = perQuery ? Shape{batch, queries, keys} : Shape{batch, keys};
  check(mask.shape() == expected, node.op, ": the padding mask must have shape [", batch, "], [",
        batch, ", ", keys, "] or [", batch, ", ", queries, ", ", keys, "], found ",
        toString(mask.shape()));
  Tensor result(DTypeOf<T>::value, {batch, 1, perQuery ? queries : 1, keys});
  for (int64_t i = 0, n = mask.size(); i < n; ++i)
    result.data<T>()[i] = from[i] > 0 ? T(0) : filter;
  return result;
}

template <typename T>
Bias<T> biasOf(KernelCall &call, size_t maskIndex, size_t biasIndex, const AttentionProblem<T> &p) {
  const Node &node = call.node;
  Bias<T> bias;
  T filter = static_cast<T>(node.real("mask_filter_value", -10000.0f));
  if (call.has(maskIndex))
    bias.tensor = paddingMask<T>(node, call.in(maskIndex), p.batch, p.queries, p.keys, filter);
  if (!call.has(biasIndex))
    return bias;
  Tensor own = inputAs<T>(call, biasIndex);
  Shape full{p.batch, p.heads, p.queries, p.keys};
  check(own.rank() == 4 && own.dim(3) == p.keys && own.dim(2) == p.queries &&
            broadcastShape(node, own.shape(), full) == full,
        node.op, ": attention_bias must have shape [", p.batch, " or 1, ", p.heads, " or 1, ",
        p.queries, ", ", p.keys, "], found ", toString(own.shape()));
  if (bias.tensor.dtype() == DType::None) {
    bias.tensor = own;
    return bias;
  }
  Shape shape = broadcastShape(node, own.shape(), bias.tensor.shape());
  auto a = broadcastStrides(own.shape(), shape), b = broadcastStrides(bias.tensor.shape(), shape);
  Tensor sum(DTypeOf<T>::value, shape);
  for (int64_t i = 0, n = sum.size(); i < n; ++i) {
    int64_t rest = i, x = 0, y = 0;
    for (size_t d = 4; d-- > 0;) {
      x += rest % shape[d] * a[d];
      y += rest % shape[d] * b[d];
      rest /= shape[d];
    }
    sum.data<T>()[i] = own.data<T>()[x] + bias.tensor.template data<T>()[y];
  }
  bias.tensor = sum;
  return bias;
}

template <typename T> T scaleOf(const Node &node, int64_t headSize) {
  T scale = static_cast<T>(node.real("scale", 0));
  return scale == T(0) ? T(1) / std::sqrt(static_cast<T>(headSize)) : scale;
}

/// Adds `bias` (heads · size) to rows given by strides, as a contiguous (batch, rows, heads ·
/// size).
template <typename T>
Tensor addBias(const T *from, const AttentionStrides &strides, const T *bias, int64_t batch,
               int64_t rows, int64_t heads, int64_t size) {
  Tensor result(DTypeOf<T>::value, {batch, rows, heads * size});
  T *to = result.data<T>();
  ThreadPool::global().parallelFor(
      batch * rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, heads * size)),
      [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          for (int64_t h = 0; h < heads; ++h)
            vec::add(from + i / rows * strides.batch + h * strides.head + i % rows * strides.row,
                     bias + h * size, static_cast<const T *>(nullptr), to + (i * heads + h) * size,
                     size);
      });
  return result;
}

/// Packed weights of Attention's input projection.
struct ProjectionState {
  std::shared_ptr<const fast::PackedMatrix> packed;
  const void *source = nullptr;
};

template <typename T>
void project(KernelCall &call, const Tensor &x, const Tensor &weights, const T *bias, T *out) {
  int64_t rows = extent(x.shape(), 0, x.rank() - 1), depth = x.dim(-1), columns = weights.dim(1);
  if constexpr (std::is_same_v<T, float>) {
    const auto &constants = call.node.constants;
    if (constants.size() > 1 && constants[1]) {
      auto *state = std::any_cast<ProjectionState>(&call.state);
      if (!state || state->source != constants[1]->raw()) {
        ProjectionState fresh;
        fresh.packed = std::make_shared<fast::PackedMatrix>(
            fast::packExact(weights.data<float>(), depth, columns));
        fresh.source = constants[1]->raw();
        call.state = fresh;
        state = std::any_cast<ProjectionState>(&call.state);
      }
      fast::Epilogue epilogue;
      epilogue.bias = bias;
      fast::gemm(x.data<float>(), depth, rows, *state->packed, out, columns, epilogue);
      return;
    }
  }
  multiply(x.data<T>(), depth, rows, weights.data<T>(), columns, false, depth, columns, out,
           columns);
  for (int64_t r = 0; bias && r < rows; ++r)
    vec::add(out + r * columns, bias, static_cast<const T *>(nullptr), out + r * columns, columns);
}

/// Where Attention and QAttention have their further inputs.
struct AttentionInputs {
  size_t mask, past, bias;
};

/// Attention over `qkv` (batch, rows, q + k + v), the projected input; sets the outputs in `type`.
template <typename T>
void attendProjected(KernelCall &call, Tensor qkv, const std::vector<int64_t> &sizes, int64_t heads,
                     const AttentionInputs &at, DType type) {
  const Node &node = call.node;
  int64_t batch = qkv.dim(0), rows = qkv.dim(1), total = qkv.dim(2);
  int64_t headSize = sizes[0] / heads, valueSize = sizes[2] / heads;
  AttentionProblem<T> p;
  p.batch = batch;
  p.heads = p.kvHeads = heads;
  p.queries = rows;
  p.headSize = headSize;
  p.valueSize = valueSize;
  p.q = qkv.data<T>();
  p.k = p.q + sizes[0];
  p.v = p.k + sizes[1];
  p.qs = p.ks = {rows * total, headSize, total};
  p.vs = {rows * total, valueSize, total};
  int64_t pastRows = 0;
  Tensor past, pastKey, pastValue, present;
  if (call.has(at.past)) {
    past = inputAs<T>(call, at.past);
    check(past.rank() == 5 && headSize == valueSize &&
              past.shape() == Shape{2, batch, heads, past.dim(3), headSize},
          node.op, ": past must have shape [2, ", batch, ", ", heads, ", past, ", headSize,
          "], found ", toString(past.shape()));
    pastRows = past.dim(3);
  }
  p.keys = pastRows + rows;
  if (call.has(at.past) || call.wants(1)) {
    check(headSize == valueSize, node.op, ": a cache needs equal sizes of keys and values, found ",
          headSize, " and ", valueSize);
    int64_t block = batch * heads * pastRows * headSize;
    if (call.has(at.past)) {
      Shape half{batch, heads, pastRows, headSize};
      pastKey = Tensor(DTypeOf<T>::value, half, past.data<T>(), nullptr);
      pastValue = Tensor(DTypeOf<T>::value, half, past.data<T>() + block, nullptr);
    }
    const Tensor *pk = call.has(at.past) ? &pastKey : nullptr;
    const Tensor *pv = call.has(at.past) ? &pastValue : nullptr;
    Tensor key = appendRows<T>(pk, p.k, p.ks, batch, heads, rows, headSize);
    Tensor value = appendRows<T>(pv, p.v, p.vs, batch, heads, rows, headSize);
    present = Tensor(DTypeOf<T>::value, {2, batch, heads, p.keys, headSize});
    std::copy_n(key.data<T>(), key.size(), present.data<T>());
    std::copy_n(value.data<T>(), value.size(), present.data<T>() + key.size());
    p.k = present.data<T>();
    p.v = p.k + key.size();
    p.ks = p.vs = headMajor(heads, p.keys, headSize);
  }
  std::vector<int64_t> offsets(batch, pastRows);
  p.offset = offsets.data();
  p.causal = node.integer("unidirectional", 0);
  p.scale = scaleOf<T>(node, headSize);
  Bias<T> added = biasOf<T>(call, at.mask, at.bias, p);
  added.attach(p);
  Tensor result(DTypeOf<T>::value, {batch, rows, heads * valueSize});
  p.out = result.data<T>();
  p.os = rowMajor(heads, rows, valueSize);
  attend(p);
  setReal(call, 0, result, type);
  if (call.wants(1))
    setReal(call, 1, present, type);
}

/// Checks the input (batch, rows, in) and weights (in, q + k + v) and gives the three widths.
std::vector<int64_t> projectionSizes(const Node &node, const Shape &x, const Shape &weights,
                                     int64_t heads) {
  check(heads > 0, node.op, ": num_heads must be positive, found ", heads);
  check(!node.integer("do_rotary", 0), node.op, ": do_rotary is not supported");
  check(x.size() == 3 && weights.size() == 2 && weights[0] == x[2], node.op,
        ": expected input (batch, rows, in) and weights (in, out), found shapes ", toString(x),
        " and ", toString(weights));
  std::vector<int64_t> sizes = node.integers("qkv_hidden_sizes");
  if (sizes.empty())
    sizes.assign(3, weights[1] / 3);
  check(sizes.size() == 3 && sizes[0] + sizes[1] + sizes[2] == weights[1] && sizes[0] == sizes[1] &&
            sizes[0] > 0 && sizes[2] > 0 && sizes[0] % heads == 0 && sizes[2] % heads == 0,
        node.op, ": the weights' ", weights[1], " columns are not Q, K and V of ", heads, " heads");
  return sizes;
}

/// Inputs: x (batch, rows, in), weights (in, q + k + v), bias, mask, past (2, batch, heads, past,
/// size), bias.
template <typename T> void contribAttention(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = inputAs<T>(call, 0), weights = inputAs<T>(call, 1), bias;
  int64_t heads = node.integer("num_heads", 0);
  std::vector<int64_t> sizes = projectionSizes(node, x.shape(), weights.shape(), heads);
  int64_t total = weights.dim(1);
  if (call.has(2)) {
    bias = inputAs<T>(call, 2);
    check(bias.size() == total, node.op, ": the bias must have ", total, " elements, found shape ",
          toString(bias.shape()));
  }
  Tensor qkv(DTypeOf<T>::value, {x.dim(0), x.dim(1), total});
  project<T>(call, x, weights, call.has(2) ? bias.data<T>() : nullptr, qkv.data<T>());
  attendProjected<T>(call, qkv, sizes, heads, {3, 4, 5}, call.in(0).dtype());
}

/// Inputs: x, weights (8-bit), bias, x's scale, the weights' scale, mask, x's zero point, the
/// weights', past.
void runQuantisedAttention(KernelCall &call) {
  const Node &node = call.node;
  int64_t heads = node.integer("num_heads", 0);
  std::vector<int64_t> sizes = projectionSizes(node, call.in(0).shape(), call.in(1).shape(), heads);
  Tensor qkv = scaledIntegerProduct(call, call.in(0), 1, call.in(3), call.in(4), call.maybe(6),
                                    call.maybe(7), &call.in(2));
  attendProjected<float>(call, qkv, sizes, heads, {5, 8, call.count()}, call.in(2).dtype());
}

/// The bucket of T5's relative positions (Raffel et al. 2020): exact up to half the buckets, then
/// logarithmic.
int64_t bucketOf(int64_t distance, int64_t buckets, int64_t furthest, bool bothWays) {
  int64_t first = 0;
  if (bothWays) {
    buckets /= 2;
    first = distance > 0 ? buckets : 0;
    distance = std::abs(distance);
  } else {
    distance = std::max<int64_t>(0, -distance);
  }
  int64_t exact = buckets / 2;
  if (distance < exact)
    return first + distance;
  float scaled = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                 std::log(static_cast<float>(furthest) / static_cast<float>(exact)) *
                 static_cast<float>(buckets - exact);
  return first + std::min(buckets - 1, exact + static_cast<int64_t>(scaled));
}

/// Inputs: table (buckets, heads), number of queries and of keys. Result (1, heads, queries, keys).
void runRelativePositionBias(KernelCall &call) {
  const Node &node = call.node;
  Tensor table = inputAs<float>(call, 0);
  check(table.rank() == 2, node.op, ": the table must have shape (buckets, heads), found ",
        toString(table.shape()));
  int64_t queries = toInt(call.in(1), "query_length"), keys = toInt(call.in(2), "key_length");
  bool bothWays = node.integer("is_bidirectional", 0);
  int64_t buckets = table.dim(0), heads = table.dim(1), furthest = node.integer("max_distance", 0);
  check(queries >= 0 && keys >= 0 && queries < (1 << 24) && keys < (1 << 24), node.op,
        ": lengths must not be negative, found ", queries, " and ", keys);
  int64_t exact = (bothWays ? buckets / 2 : buckets) / 2;
  check(exact > 0 && furthest > exact, node.op, ": max_distance must exceed ", exact,
        ", half the buckets of a direction, found ", furthest);
  Tensor result(DType::F32, {1, heads, queries, keys});
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) {
      const float *row = table.data<float>() + bucketOf(j - i, buckets, furthest, bothWays) * heads;
      for (int64_t h = 0; h < heads; ++h)
        result.data<float>()[(h * queries + i) * keys + j] = row[h];
    }
  setReal(call, 0, result, call.in(0).dtype());
}

/// Inputs: query, key, value, bias, padding mask, attention bias, past key, past value. The query
/// is (batch, rows, heads · size) or packs all three as (batch, rows, heads, 3, size); the key may
/// pack the value as (batch, rows, heads, 2, size), or both may be caches (batch, heads, rows,
/// size).
template <typename T> void multiHead(KernelCall &call) {
  const Node &node = call.node;
  Tensor query = inputAs<T>(call, 0), key, value, bias;
  int64_t heads = node.integer("num_heads", 0);
  check(heads > 0, node.op, ": num_heads must be positive, found ", heads);
  check(query.rank() == 3 || query.rank() == 5, node.op,
        ": query must have 3 or 5 dimensions, found shape ", toString(query.shape()));
  AttentionProblem<T> p;
  p.batch = query.dim(0);
  p.heads = p.kvHeads = heads;
  p.queries = query.dim(1);
  int64_t freshKeys = 0;
  bool cached = false; // key and value are whole caches
  if (query.rank() == 5) {
    check(query.dim(2) == heads && query.dim(3) == 3 && !call.has(1) && !call.has(2), node.op,
          ": a packed query must have shape (batch, rows, ", heads,
          ", 3, size) and come without key and value, found ", toString(query.shape()));
    int64_t size = query.dim(4);
    p.headSize = p.valueSize = size;
    p.q = query.data<T>();
    p.k = p.q + size;
    p.v = p.k + size;
    p.qs = p.ks = p.vs = {p.queries * heads * 3 * size, 3 * size, heads * 3 * size};
    freshKeys = p.queries;
  } else {
    check(query.dim(2) % heads == 0, node.op, ": num_heads (", heads,
          ") must divide the query's width, found shape ", toString(query.shape()));
    check(call.has(1), node.op, ": key is missing");
    p.headSize = query.dim(2) / heads;
    p.q = query.data<T>();
    p.qs = rowMajor(heads, p.queries, p.headSize);
    key = inputAs<T>(call, 1);
    p.k = key.data<T>();
    check(key.rank() >= 3 && key.dim(0) == p.batch, node.op,
          ": key must have the query's batch, found shape ", toString(key.shape()));
    if (key.rank() == 5) {
      check(key.dim(2) == heads && key.dim(3) == 2 && key.dim(4) == p.headSize && !call.has(2),
            node.op, ": a packed key must have shape (batch, rows, ", heads, ", 2, ", p.headSize,
            ") and come without value, found ", toString(key.shape()));
      freshKeys = key.dim(1);
      p.valueSize = p.headSize;
      p.v = p.k + p.headSize;
      p.ks = p.vs = {freshKeys * heads * 2 * p.headSize, 2 * p.headSize, heads * 2 * p.headSize};
    } else {
      check(call.has(2), node.op, ": value is missing");
      value = inputAs<T>(call, 2);
      p.v = value.data<T>();
      cached = key.rank() == 4;
      check(value.rank() == key.rank() && value.dim(0) == p.batch, node.op,
            ": value must have the key's rank and batch, found shapes ", toString(key.shape()),
            " and ", toString(value.shape()));
      if (cached) {
        freshKeys = key.dim(2);
        p.valueSize = value.dim(3);
        check(key.shape() == Shape{p.batch, heads, freshKeys, p.headSize} &&
                  value.shape() == Shape{p.batch, heads, freshKeys, p.valueSize},
              node.op, ": key and value do not fit the query, found shapes ", toString(key.shape()),
              " and ", toString(value.shape()));
        p.ks = headMajor(heads, freshKeys, p.headSize);
        p.vs = headMajor(heads, freshKeys, p.valueSize);
      } else {
        freshKeys = key.dim(1);
        check(key.dim(2) == query.dim(2) && value.dim(1) == freshKeys && value.dim(2) % heads == 0,
              node.op, ": key and value do not fit the query, found shapes ", toString(key.shape()),
              " and ", toString(value.shape()));
        p.valueSize = value.dim(2) / heads;
        p.ks = rowMajor(heads, freshKeys, p.headSize);
        p.vs = rowMajor(heads, freshKeys, p.valueSize);
      }
    }
  }
  Tensor biasedQ, biasedK, biasedV;
  if (call.has(3)) {
    bias = inputAs<T>(call, 3);
    int64_t width = heads * p.headSize, valueWidth = heads * p.valueSize;
    check(bias.size() == 2 * width + valueWidth, node.op, ": the bias must have ",
          2 * width + valueWidth, " elements, found shape ", toString(bias.shape()));
    const T *b = bias.data<T>();
    biasedQ = addBias(p.q, p.qs, b, p.batch, p.queries, heads, p.headSize);
    p.q = biasedQ.data<T>();
    p.qs = rowMajor(heads, p.queries, p.headSize);
    if (!cached) {
      biasedK = addBias(p.k, p.ks, b + width, p.batch, freshKeys, heads, p.headSize);
      biasedV = addBias(p.v, p.vs, b + 2 * width, p.batch, freshKeys, heads, p.valueSize);
      p.k = biasedK.data<T>();
      p.v = biasedV.data<T>();
      p.ks = rowMajor(heads, freshKeys, p.headSize);
      p.vs = rowMajor(heads, freshKeys, p.valueSize);
    }
  }
  check(call.has(6) == call.has(7), node.op,
        ": past_key and past_value come together or not at all");
  int64_t pastRows = 0;
  Tensor pastKey, pastValue, presentKey, presentValue;
  if (call.has(6)) {
    pastKey = inputAs<T>(call, 6);
    pastValue = inputAs<T>(call, 7);
    pastRows = pastKey.rank() == 4 ? pastKey.dim(2) : 0;
    check(pastKey.shape() == Shape{p.batch, heads, pastRows, p.headSize} &&
              pastValue.shape() == Shape{p.batch, heads, pastRows, p.valueSize},
          node.op, ": past_key and past_value must have shape (", p.batch, ", ", heads, ", past, ",
          p.headSize, "), found ", toString(pastKey.shape()), " and ", toString(pastValue.shape()));
  }
  p.keys = pastRows + freshKeys;
  if (call.has(6) || call.wants(1) || call.wants(2)) {
    presentKey = appendRows<T>(call.has(6) ? &pastKey : nullptr, p.k, p.ks, p.batch, heads,
                               freshKeys, p.headSize);
    presentValue = appendRows<T>(call.has(6) ? &pastValue : nullptr, p.v, p.vs, p.batch, heads,
                                 freshKeys, p.valueSize);
    p.k = presentKey.data<T>();
    p.v = presentValue.data<T>();
    p.ks = headMajor(heads, p.keys, p.headSize);
    p.vs = headMajor(heads, p.keys, p.valueSize);
  }
  std::vector<int64_t> offsets(p.batch, pastRows);
  p.offset = offsets.data();
  p.causal = node.integer("unidirectional", 0);
  p.scale = scaleOf<T>(node, p.headSize);
  Bias<T> added = biasOf<T>(call, 4, 5, p);
  added.attach(p);
  Tensor result(DTypeOf<T>::value, {p.batch, p.queries, heads * p.valueSize}), scores;
  p.out = result.data<T>();
  p.os = rowMajor(heads, p.queries, p.valueSize);
  if (call.wants(3)) {
    scores = Tensor(DTypeOf<T>::value, {p.batch, p.heads, p.queries, p.keys});
    p.scores = scores.data<T>();
    p.scoresStage = 2;
  }
  attend(p);
  DType type = call.in(0).dtype();
  setReal(call, 0, result, type);
  if (call.wants(1))
    setReal(call, 1, presentKey, type);
  if (call.wants(2))
    setReal(call, 2, presentValue, type);
  if (call.wants(3))
    setReal(call, 3, scores, type);
}

void runContribAttention(KernelCall &call) {
  withCompute(call.in(0).dtype(), "Attention: input 0",
              [&](auto zero) { contribAttention<decltype(zero)>(call); });
}
void runMultiHead(KernelCall &call) {
  withCompute(call.in(0).dtype(), "MultiHeadAttention: query",
              [&](auto zero) { multiHead<decltype(zero)>(call); });
}

} // namespace

void registerContribAttention(KernelTable &table) {
  table.add("com.microsoft", "Attention", runContribAttention);
  table.add("com.microsoft", "MultiHeadAttention", runMultiHead);
  table.add("com.microsoft", "QAttention", runQuantisedAttention);
  table.add("com.microsoft", "RelativePositionBias", runRelativePositionBias);
}

} // namespace uoe::rt
