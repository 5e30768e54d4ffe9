// com.microsoft Attention, QAttention, MultiHeadAttention and EmbedLayerNormalization in float, on
// a device.
#include "Attention.h"
#include "Product.h"
#include "Quantize.h"
#include "Rows.h"
#include "runtime/cuda/ops/Copy.h"
#include "runtime/cuda/ops/Embed.h"
#include "runtime/cuda/ops/Pointwise.h"
#include <cmath>

namespace uoe::rt::cuda {
namespace {

/// Tensors that live until the launches that read them are on the stream.
using Kept = std::vector<Tensor>;

const float *floats(Call &call, Kept &kept, size_t i) {
  if (!call.has(i))
    return nullptr;
  kept.push_back(call.in(i));
  return static_cast<const float *>(kept.back().raw());
}

/// The padding mask of input `maskInput` and the bias of input `biasInput`, both optional, as a
/// bias of the scores. False for shapes that do not fit.
bool addBias(Call &call, Kept &kept, size_t maskInput, size_t biasInput, AttentionCall &work) {
  const int64_t batch = work.batch, heads = work.heads, queries = work.queries, keys = work.keys;
  HeadStrides own;
  int64_t ownHeads = 1;
  if (call.has(biasInput)) {
    const Shape &s = call.shape(biasInput);
    if (call.type(biasInput) != DType::F32 || s.size() != 4 || s[3] != keys || s[2] != queries ||
        (s[1] != heads && s[1] != 1) || (s[0] != batch && s[0] != 1))
      return false;
    ownHeads = s[1];
    own = {s[0] == 1 ? 0 : s[1] * queries * keys, s[1] == 1 ? 0 : queries * keys, keys};
  }
  work.biasKey = 1;
  if (!call.has(maskInput)) {
    work.bias = floats(call, kept, biasInput);
    work.bs = own;
    return true;
  }
  const Shape mask = call.shape(maskInput);
  PaddingCall padding;
  if (call.type(maskInput) != DType::I32)
    return false;
  if (mask.size() == 1 && (mask[0] == batch || mask[0] == 2 * batch))
    padding.form = mask[0] == batch ? PaddingCall::Ends : PaddingCall::EndsStarts;
  else if (mask == Shape{batch, keys})
    padding.form = PaddingCall::Keys;
  else if (mask == Shape{batch, queries, keys})
    padding.form = PaddingCall::Pairs;
  else
    return false;
  padding.filter = call.node.real("mask_filter_value", -10000.0f);
  padding.batch = batch;
  padding.heads = ownHeads;
  padding.queries = call.has(biasInput) || padding.form == PaddingCall::Pairs ? queries : 1;
  padding.keys = keys;
  padding.strides = own;
  padding.own = floats(call, kept, biasInput);
  kept.push_back(call.in(maskInput));
  padding.mask = kept.back().data<int32_t>();
  kept.push_back(call.arena.allocate(DType::F32, {batch, padding.heads, padding.queries, keys},
                                     "a mask of scores"));
  padding.to = kept.back().data<float>();
  call.each("padding", kept.back().size(), padding);
  work.bias = padding.to;
  work.bs = {padding.heads * padding.queries * keys,
             padding.heads == 1 ? 0 : padding.queries * keys, padding.queries == 1 ? 0 : keys};
  return true;
}

/// to [batch, heads, past + rows, size] = `past` [.., past, size] if it is given, then `fresh`.
void append(Call &call, const float *past, int64_t pastRows, const float *fresh,
            const HeadStrides &strides, const Shape &dims, float *to) {
  const int64_t batch = dims[0], heads = dims[1], length = dims[2], size = dims[3];
  auto copy = [&](const float *from, const HeadStrides &s, int64_t first, int64_t rows) {
    CopyCall work;
    work.from = from;
    work.to = to + first * size;
    setLoops(work.loops, {{batch, s.batch, heads * length * size},
                          {heads, s.head, length * size},
                          {rows, s.position, size},
                          {size, 1, 1}});
    call.each("copy", work.loops.count, work);
  };
  if (pastRows > 0)
    copy(past, {heads * pastRows * size, pastRows * size, size}, 0, pastRows);
  copy(fresh, strides, pastRows, length - pastRows);
}

float scaleOf(const Node &node, int64_t size) {
  const float scale = node.real("scale", 0);
  return scale == 0 ? 1 / std::sqrt(static_cast<float>(size)) : scale;
}

/// The widths of q, k and v in weights [in, q + k + v]; empty if they do not fit.
std::vector<int64_t> projectionSizes(const Node &node, const Shape &x, const Shape &weights,
                                     int64_t heads) {
  if (heads <= 0 || node.integer("do_rotary", 0) != 0 || x.size() != 3 || weights.size() != 2 ||
      weights[0] != x[2])
    return {};
  std::vector<int64_t> sizes = node.integers("qkv_hidden_sizes");
  if (sizes.empty())
    sizes.assign(3, weights[1] / 3);
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != weights[1] || sizes[0] != sizes[1] ||
      sizes[0] <= 0 || sizes[2] <= 0 || sizes[0] % heads != 0 || sizes[2] % heads != 0 ||
      sizes[0] / heads > kMostFeatures || sizes[2] / heads > kMostFeatures)
    return {};
  return sizes;
}

/// Where Attention and QAttention have their further inputs.
struct AttentionInputs {
  size_t mask, past, bias;
};

/// Whether `past` [2, batch, heads, rows, size] fits, and the mask and bias have known types.
bool fitsCache(Call &call, const AttentionInputs &at, int64_t batch, int64_t heads,
               const std::vector<int64_t> &sizes) {
  if (!call.has(at.past))
    return !call.wants(1) || sizes[0] == sizes[2];
  const Shape &past = call.shape(at.past);
  return call.type(at.past) == DType::F32 && past.size() == 5 && sizes[0] == sizes[2] &&
         past == Shape{2, batch, heads, past[3], sizes[0] / heads};
}

/// Attention over qkv [batch, rows, q + k + v].
bool attendProjected(Call &call, Kept &kept, const Tensor &qkv, const std::vector<int64_t> &sizes,
                     int64_t heads, const AttentionInputs &at) {
  const int64_t batch = qkv.dim(0), rows = qkv.dim(1), total = qkv.dim(2);
  const int64_t size = sizes[0] / heads, valueSize = sizes[2] / heads;
  const int64_t pastRows = call.has(at.past) ? call.shape(at.past)[3] : 0;
  AttentionCall work;
  work.batch = int32_t(batch);
  work.heads = work.kvHeads = int32_t(heads);
  work.queries = int32_t(rows);
  work.keys = int32_t(pastRows + rows);
  work.size = int32_t(size);
  work.valueSize = int32_t(valueSize);
  work.offset = pastRows;
  work.causal = call.node.integer("unidirectional", 0) != 0;
  work.scale = scaleOf(call.node, size);
  if (!addBias(call, kept, at.mask, at.bias, work))
    return false;
  work.q = qkv.data<float>();
  work.k = work.q + sizes[0];
  work.v = work.k + sizes[1];
  work.qs = work.ks = {rows * total, size, total};
  work.vs = {rows * total, valueSize, total};
  if (call.has(at.past) || call.wants(1)) {
    const Shape half = {batch, heads, work.keys, size}, whole = {2, batch, heads, work.keys, size};
    kept.push_back(call.wants(1) ? call.out(1, DType::F32, whole)
                                 : call.arena.allocate(DType::F32, whole, "keys and values"));
    float *key = kept.back().data<float>(), *value = key + elementCount(half);
    const float *past = floats(call, kept, at.past);
    append(call, past, pastRows, work.k, work.ks, half, key);
    append(call, past ? past + batch * heads * pastRows * size : nullptr, pastRows, work.v, work.vs,
           half, value);
    work.k = key;
    work.v = value;
    work.ks = work.vs = {heads * work.keys * size, work.keys * size, size};
  }
  work.y = call.out(0, DType::F32, {batch, rows, heads * valueSize}).data<float>();
  work.ys = {rows * heads * valueSize, valueSize, heads * valueSize};
  launchAttention(call, work);
  return true;
}

// Inputs: x [batch, rows, in], weights [in, q + k + v], bias, mask, past, attention bias.
bool contribAttention(Call &call) {
  const int64_t heads = call.node.integer("num_heads", 0);
  if (call.type(0) != DType::F32 || !call.constant(1) || call.type(1) != DType::F32 ||
      (call.has(2) && call.type(2) != DType::F32))
    return false;
  const Shape x = call.shape(0);
  const std::vector<int64_t> sizes = projectionSizes(call.node, x, call.shape(1), heads);
  const AttentionInputs at = {3, 4, 5};
  if (sizes.empty() || !fitsCache(call, at, x[0], heads, sizes))
    return false;
  const int64_t total = sizes[0] + sizes[1] + sizes[2];
  if ((call.has(2) && elementCount(call.shape(2)) != total) || x[0] * x[1] > kMost)
    return false;
  Kept kept;
  Product product;
  product.a = call.in(0);
  product.b = weightRows(call, 1, false);
  if (call.has(2))
    product.bias = call.in(2);
  product.m = x[0] * x[1];
  product.n = total;
  product.k = x[2];
  product.y = call.arena.allocate(DType::F32, {x[0], x[1], total}, "queries, keys and values");
  launch(call, product);
  return attendProjected(call, kept, product.y, sizes, heads, at);
}

// Inputs: x, weights (8-bit), bias, x's scale, the weights' scale, mask, x's zero point, the
// weights', past.
bool quantisedAttention(Call &call) {
  const int64_t heads = call.node.integer("num_heads", 0);
  if (call.count() < 5 || call.type(2) != DType::F32)
    return false;
  const Shape x = call.shape(0);
  const std::vector<int64_t> sizes = projectionSizes(call.node, x, call.shape(1), heads);
  const AttentionInputs at = {5, 8, call.count()};
  if (sizes.empty() || !fitsCache(call, at, x[0], heads, sizes))
    return false;
  Kept kept;
  auto input = [&](size_t i) { return call.has(i) ? call.in(i) : Tensor(); };
  const Tensor in = input(0), weights = input(1), bias = input(2), xScale = input(3),
               wScale = input(4), xZero = input(6), wZero = input(7);
  IntegerProductCall work;
  Shape result;
  if (!integerProduct(work, in, weights, xZero, wZero, result) ||
      !productScale(xScale, 1, work.aScale, work.aScales) ||
      !productScale(wScale, work.n, work.bScale, work.bScales) || bias.size() != work.n)
    return false;
  const Tensor qkv = call.arena.allocate(DType::F32, result, "queries, keys and values");
  work.saturating = saturates(call, in.dtype(), weights.dtype());
  work.bias = bias.data<float>();
  work.then = Sums32::Real;
  work.yType = DType::F32;
  work.y = const_cast<void *>(qkv.raw());
  launch(call, work);
  return attendProjected(call, kept, qkv, sizes, heads, at);
}

/// Rows [batch, rows, heads, size] of the given strides plus `bias` [heads, size], contiguous.
const float *biased(Call &call, Kept &kept, const float *from, HeadStrides &strides,
                    const float *bias, int64_t batch, int64_t rows, int64_t heads, int64_t size) {
  kept.push_back(call.arena.allocate(DType::F32, {batch, rows, heads, size}, "biased rows"));
  PointwiseCall add;
  add.op = Point::Add;
  add.operands = 2;
  add.types[0] = add.types[1] = DType::F32;
  add.in[0] = from;
  add.in[1] = bias;
  add.out = kept.back().raw();
  setLoops(add.loops, {{batch, strides.batch, 0},
                       {rows, strides.position, 0},
                       {heads, strides.head, size},
                       {size, 1, 1}});
  call.each("pointwise_real", add.loops.count, add);
  strides = {rows * heads * size, size, heads * size};
  return kept.back().data<float>();
}

// Inputs: query, key, value, bias, padding mask, attention bias, past key, past value. The query is
// [batch, rows, heads * size] or packs all three as [batch, rows, heads, 3, size]; the key may pack
// the value as [batch, rows, heads, 2, size], or both may be caches [batch, heads, rows, size].
bool multiHead(Call &call) {
  const Node &node = call.node;
  const int64_t heads = node.integer("num_heads", 0);
  for (size_t i : {0, 1, 2, 3, 6, 7})
    if (call.has(i) && call.type(i) != DType::F32)
      return false;
  const Shape q = call.shape(0), k = call.shape(1), v = call.shape(2);
  if (heads <= 0 || (q.size() != 3 && q.size() != 5) || call.wants(3) ||
      call.has(6) != call.has(7) || call.count() > 8)
    return false;
  const int64_t batch = q[0], rows = q[1];
  Kept kept;
  AttentionCall work;
  int64_t size = 0, valueSize = 0, fresh = 0;
  bool cached = false; // key and value are whole caches
  // What fits is found before anything is launched.
  if (q.size() == 5) {
    if (q[2] != heads || q[3] != 3 || call.has(1) || call.has(2))
      return false;
    size = valueSize = q[4];
    fresh = rows;
    work.qs = work.ks = work.vs = {rows * heads * 3 * size, 3 * size, heads * 3 * size};
  } else {
    if (q[2] % heads != 0 || !call.has(1) || k.size() < 3 || k[0] != batch)
      return false;
    size = q[2] / heads;
    work.qs = {rows * q[2], size, q[2]};
    if (k.size() == 5) {
      if (k[2] != heads || k[3] != 2 || k[4] != size || call.has(2))
        return false;
      fresh = k[1];
      valueSize = size;
      work.ks = work.vs = {fresh * heads * 2 * size, 2 * size, heads * 2 * size};
    } else if (!call.has(2) || v.size() != k.size() || v[0] != batch) {
      return false;
    } else if (k.size() == 4) {
      cached = true;
      fresh = k[2];
      valueSize = v[3];
      if (k != Shape{batch, heads, fresh, size} || v != Shape{batch, heads, fresh, valueSize})
        return false;
      work.ks = {heads * fresh * size, fresh * size, size};
      work.vs = {heads * fresh * valueSize, fresh * valueSize, valueSize};
    } else {
      fresh = k[1];
      if (k[2] != q[2] || v[1] != fresh || v[2] % heads != 0)
        return false;
      valueSize = v[2] / heads;
      work.ks = {fresh * k[2], size, k[2]};
      work.vs = {fresh * v[2], valueSize, v[2]};
    }
  }
  const int64_t width = heads * size;
  if (size < 1 || valueSize < 1 || size > kMostFeatures || valueSize > kMostFeatures ||
      (call.has(3) && elementCount(call.shape(3)) != 2 * width + heads * valueSize))
    return false;
  int64_t pastRows = 0;
  if (call.has(6)) {
    const Shape &past = call.shape(6);
    pastRows = past.size() == 4 ? past[2] : 0;
    if (past != Shape{batch, heads, pastRows, size} ||
        call.shape(7) != Shape{batch, heads, pastRows, valueSize})
      return false;
  }
  work.batch = int32_t(batch);
  work.heads = work.kvHeads = int32_t(heads);
  work.queries = int32_t(rows);
  work.keys = int32_t(pastRows + fresh);
  work.size = int32_t(size);
  work.valueSize = int32_t(valueSize);
  work.offset = pastRows;
  work.causal = node.integer("unidirectional", 0) != 0;
  work.scale = scaleOf(node, size);
  if (!addBias(call, kept, 4, 5, work))
    return false;
  work.q = floats(call, kept, 0);
  work.k = q.size() == 5 ? work.q + size : floats(call, kept, 1);
  work.v = q.size() == 5 ? work.k + size : k.size() == 5 ? work.k + size : floats(call, kept, 2);
  if (const float *bias = floats(call, kept, 3)) {
    work.q = biased(call, kept, work.q, work.qs, bias, batch, rows, heads, size);
    if (!cached) {
      work.k = biased(call, kept, work.k, work.ks, bias + width, batch, fresh, heads, size);
      work.v =
          biased(call, kept, work.v, work.vs, bias + 2 * width, batch, fresh, heads, valueSize);
    }
  }
  if (call.has(6) || call.wants(1) || call.wants(2)) {
    auto extend = [&](size_t output, size_t past, const float *from, HeadStrides &strides,
                      int64_t features) {
      const Shape dims = {batch, heads, work.keys, features};
      kept.push_back(call.wants(output) ? call.out(output, DType::F32, dims)
                                        : call.arena.allocate(DType::F32, dims, "keys and values"));
      auto *to = kept.back().data<float>();
      append(call, floats(call, kept, past), pastRows, from, strides, dims, to);
      strides = {heads * work.keys * features, work.keys * features, features};
      return to;
    };
    work.k = extend(1, 6, work.k, work.ks, size);
    work.v = extend(2, 7, work.v, work.vs, valueSize);
  }
  work.y = call.out(0, DType::F32, {batch, rows, heads * valueSize}).data<float>();
  work.ys = {rows * heads * valueSize, valueSize, heads * valueSize};
  launchAttention(call, work);
  return true;
}

bool isId(DType type) {
  return type == DType::I32 || type == DType::I64;
}

// Inputs: ids, segment ids?, words, positions, segments?, gamma, beta, mask?, position ids?.
// Results: the norm, the ones of each row of the mask, the sum.
bool embedNorm(Call &call) {
  const Shape ids = call.shape(0), words = call.shape(2), places = call.shape(3);
  if (ids.size() != 2 || !isId(call.type(0)) || words.size() != 2 || places.size() != 2 ||
      words[1] != places[1] || !isDeviceFloat(call.type(2)))
    return false;
  EmbedCall work;
  work.type = call.type(2);
  work.width = words[1];
  work.sequence = std::max<int64_t>(1, ids[1]);
  work.rows = ids[0] * ids[1];
  work.wordRows = words[0];
  work.positionRows = places[0];
  for (size_t i : {3, 4, 5, 6})
    if (call.has(i) && call.type(i) != work.type)
      return false;
  for (size_t i : {5, 6})
    if (!call.has(i) || elementCount(call.shape(i)) != work.width)
      return false;
  if (call.has(1) && (call.shape(1) != ids || !isId(call.type(1)) || !call.has(4) ||
                      call.shape(4).size() != 2 || call.shape(4)[1] != work.width))
    return false;
  if (call.has(8)) {
    const Shape &at = call.shape(8);
    if (!isId(call.type(8)) || at.size() != 2 || at[1] != ids[1] || (at[0] != ids[0] && at[0] != 1))
      return false;
  }
  if (call.wants(1) && call.has(7) && (call.shape(7) != ids || !isId(call.type(7))))
    return false;
  Kept kept;
  auto input = [&](size_t i) {
    kept.push_back(call.has(i) ? call.in(i) : Tensor());
    return call.has(i) ? kept.back().raw() : nullptr;
  };
  work.idType = call.type(0);
  work.ids = input(0);
  if (call.has(1)) {
    work.segmentType = call.type(1);
    work.segmentIds = input(1);
    work.segments = input(4);
    work.segmentRows = call.shape(4)[0];
  }
  work.words = input(2);
  work.positions = input(3);
  if (call.has(8)) {
    work.positionType = call.type(8);
    work.positionIds = input(8);
    work.positionCount = elementCount(call.shape(8));
  }
  work.flag = call.flag;
  work.mark = call.mark;
  const Shape dims = {ids[0], ids[1], work.width};
  Tensor sum = call.wants(2) ? call.out(2, work.type, dims)
                             : call.arena.allocate(work.type, dims, "a sum of embeddings");
  work.sum = sum.raw();
  call.each("embed", work.rows * work.width, work);
  RowCall norm;
  norm.op = RowOp::LayerNorm;
  norm.type = norm.outType = norm.gammaType = work.type;
  norm.rows = work.rows;
  norm.n = work.width;
  norm.epsilon = call.node.real("epsilon", 1e-12f);
  norm.x = sum.raw();
  norm.gamma = input(5);
  norm.beta = input(6);
  norm.y = call.out(0, work.type, dims).raw();
  launchRows(call, norm);
  if (call.wants(1)) {
    OnesCall ones;
    ones.rows = ids[0];
    ones.n = ids[1];
    ones.mask = input(7);
    ones.type = call.has(7) ? call.type(7) : DType::I32;
    ones.counts = call.out(1, DType::I32, {ids[0]}).data<int32_t>();
    call.each("ones", ones.rows, ones);
  }
  return true;
}

} // namespace

void addContribAttention(DeviceKernels &table) {
  const char *const ms = "com.microsoft";
  table[{ms, "Attention"}] = contribAttention;
  table[{ms, "QAttention"}] = quantisedAttention;
  table[{ms, "MultiHeadAttention"}] = multiHead;
  table[{ms, "EmbedLayerNormalization"}] = embedNorm;
}

} // namespace uoe::rt::cuda
