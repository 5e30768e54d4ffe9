// uoe.Attention and RotaryEmbedding on a device.
#include "Attention.h"
#include <cmath>

namespace uoe::rt::cuda {
void launchAttention(Call &call, const AttentionCall &work) {
  const int64_t blocks = int64_t(work.batch) * work.heads * ceilDiv(work.queries, kQueries);
  if (blocks > 0 && work.valueSize > 0)
    call.launch("attention", {static_cast<unsigned>(blocks)}, kAttentionThreads, work,
                static_cast<unsigned>(work.sharedFloats()) * sizeof(float));
}

namespace {

struct Layout {
  int64_t batch, heads, positions, features;
  HeadStrides strides;
};

Layout layoutOf(const Shape &x, bool bshd) {
  Layout layout{x[0], x[bshd ? 2 : 1], x[bshd ? 1 : 2], x[3], {}};
  layout.strides.batch = x[1] * x[2] * x[3];
  layout.strides.head = bshd ? x[3] : x[2] * x[3];
  layout.strides.position = bshd ? x[2] * x[3] : x[3];
  return layout;
}

bool attention(Call &call) {
  const Node &node = call.node;
  for (size_t i = 0; i < 3; ++i)
    if (!call.has(i) || call.type(i) != DType::F32 || call.shape(i).size() != 4)
      return false;
  const Layout q = layoutOf(call.shape(0), node.integer("q_bshd", 0)),
               k = layoutOf(call.shape(1), node.integer("k_bshd", 0)),
               v = layoutOf(call.shape(2), node.integer("v_bshd", 0));
  const int64_t most = int64_t(1) << 30;
  if (q.batch != k.batch || k.batch != v.batch || k.heads != v.heads ||
      k.positions != v.positions || q.features != k.features || k.heads == 0 ||
      q.heads % k.heads != 0 || v.features > kMostFeatures || q.features > kMostFeatures ||
      q.positions > most || k.positions > most)
    return false;
  AttentionCall work;
  work.batch = int32_t(q.batch);
  work.heads = int32_t(q.heads);
  work.kvHeads = int32_t(k.heads);
  work.queries = int32_t(q.positions);
  work.keys = int32_t(k.positions);
  work.size = int32_t(q.features);
  work.valueSize = int32_t(v.features);
  work.qs = q.strides;
  work.ks = k.strides;
  work.vs = v.strides;
  work.scale = node.real("scale", 1);
  work.softcap = node.real("softcap", 0);
  work.causal = node.integer("causal", 0) != 0;
  work.offset = k.positions - q.positions;
  work.window = node.integer("window", 0);
  work.emptyRow = node.integer("boolean_zero", 0) ? 0.0f : NAN;
  Tensor bias;
  if (call.has(3)) {
    const Shape shape = call.shape(3), to = {q.batch, q.heads, q.positions, k.positions};
    if (shape.size() > 4 || (call.type(3) != DType::F32 && call.type(3) != DType::Bool))
      return false;
    int64_t strides[4] = {}, step = 1;
    for (size_t i = shape.size(), axis = 4; i-- > 0;) {
      --axis;
      if (shape[i] != to[axis] && shape[i] != 1)
        return false;
      strides[axis] = shape[i] == 1 ? 0 : step;
      step *= shape[i];
    }
    work.bs = {strides[0], strides[1], strides[2]};
    work.biasKey = strides[3];
    bias = call.in(3);
    if (bias.dtype() == DType::Bool)
      work.mask = bias.data<uint8_t>();
    else
      work.bias = bias.data<float>();
  }
  const Tensor qt = call.in(0), kt = call.in(1), vt = call.in(2);
  work.q = qt.data<float>();
  work.k = kt.data<float>();
  work.v = vt.data<float>();
  const bool bshd = node.integer("y_bshd", 0) != 0;
  const Shape shape = bshd ? Shape{q.batch, q.positions, q.heads, v.features}
                           : Shape{q.batch, q.heads, q.positions, v.features};
  Tensor y = call.out(0, DType::F32, shape);
  work.y = y.data<float>();
  work.ys = layoutOf(shape, bshd).strides;
  launchAttention(call, work);
  return true;
}

// com.microsoft GroupQueryAttention in float. Inputs: query, key?, value?, past key?, past value?,
// seqlens_k (a sample's keys - 1), total length, cos?, sin?, positions?; without key and value the
// query packs all three. How many keys a sample has stays on the device: a number that fits nothing
// is marked as a bad index is.
bool groupQuery(Call &call) {
  const Node &node = call.node;
  const int64_t heads = node.integer("num_heads", 0), kvHeads = node.integer("kv_num_heads", 0);
  const bool packed = !call.has(1), turned = node.integer("do_rotary", 0) != 0;
  for (size_t i : {0, 1, 2, 3, 4, 7, 8})
    if (call.has(i) && call.type(i) != DType::F32)
      return false;
  if (!call.has(0) || call.shape(0).size() != 3 || heads <= 0 || kvHeads <= 0 ||
      heads % kvHeads != 0 || call.has(1) != call.has(2) || call.has(3) != call.has(4) ||
      !call.has(5) || call.type(5) != DType::I32 || !call.has(6) || call.has(10) || call.has(11) ||
      call.count() > 12 || node.integer("smooth_softmax", 0) != 0 || call.wants(3))
    return false;
  const int64_t batch = call.shape(0)[0], rows = call.shape(0)[1], width = call.shape(0)[2];
  const int64_t parts = packed ? heads + 2 * kvHeads : heads, size = width / parts;
  const int64_t total = toInt(call.host(6), "total_sequence_length");
  const int64_t pastLength = call.has(3) && call.shape(3).size() == 4 ? call.shape(3)[2] : 0;
  const int64_t length = std::max(pastLength, total);
  const Shape fresh = {batch, rows, kvHeads * size}, past = {batch, kvHeads, pastLength, size};
  if (width % parts != 0 || size == 0 || size > kMostFeatures ||
      elementCount(call.shape(5)) != batch || total < rows || length > (int64_t(1) << 30) ||
      (!packed && (call.shape(1) != fresh || call.shape(2) != fresh)) ||
      (call.has(3) && (call.shape(3) != past || call.shape(4) != past)))
    return false;
  CacheCall cache;
  cache.batch = batch;
  cache.rows = rows;
  cache.size = size;
  cache.prompt = rows == total;
  cache.flag = call.flag;
  cache.mark = call.mark;
  std::vector<Tensor> held;
  auto input = [&](size_t i) {
    held.push_back(call.in(i));
    return static_cast<const float *>(held.back().raw());
  };
  cache.lastKeys = reinterpret_cast<const int32_t *>(input(5));
  AttentionCall work;
  const int64_t positionStep = packed ? width : heads * size;
  const float *query = input(0);
  work.qs = {rows * positionStep, size, positionStep};
  const int64_t kvStep = packed ? width : kvHeads * size;
  const HeadStrides freshStrides = {rows * kvStep, size, kvStep};
  const float *key = packed ? query + heads * size : input(1),
              *value = packed ? key + kvHeads * size : input(2);
  CacheCall plain = cache; // values are not turned
  if (turned) {
    if (!call.has(7) || !call.has(8) || call.shape(7).size() != 2 ||
        call.shape(7) != call.shape(8) || 2 * call.shape(7)[1] > size)
      return false;
    cache.cos = input(7);
    cache.sin = input(8);
    cache.half = call.shape(7)[1];
    cache.limit = call.shape(7)[0];
    cache.interleaved = node.integer("rotary_interleaved", 0) != 0;
    if (call.has(9)) {
      if (elementCount(call.shape(9)) != batch * rows ||
          (call.type(9) != DType::I64 && call.type(9) != DType::I32))
        return false;
      cache.positions = input(9);
      cache.wide = call.type(9) == DType::I64;
    }
    CacheCall own = cache;
    own.fresh = query;
    own.heads = heads;
    own.strides = work.qs;
    own.length = rows;
    own.queries = true;
    held.push_back(
        call.arena.allocate(DType::F32, {batch, heads, rows, size}, "queries that are turned"));
    own.to = held.back().data<float>();
    query = own.to;
    work.qs = {heads * rows * size, rows * size, size};
    call.each("cache", batch * heads * rows * size, own);
  }
  const Shape present = {batch, kvHeads, length, size};
  auto extend = [&](size_t i, CacheCall own, const float *from) {
    own.fresh = from;
    own.heads = kvHeads;
    own.strides = freshStrides;
    own.length = length;
    own.pastLength = pastLength;
    if (call.has(2 + i))
      own.past = input(2 + i);
    held.push_back(call.wants(i) ? call.out(i, DType::F32, present)
                                 : call.arena.allocate(DType::F32, present, "keys and values"));
    own.to = held.back().data<float>();
    call.each("cache", elementCount(present), own);
    return own.to;
  };
  work.k = extend(1, cache, key);
  work.v = extend(2, plain, value);
  work.ks = work.vs = {kvHeads * length * size, length * size, size};
  work.q = query;
  work.batch = int32_t(batch);
  work.heads = int32_t(heads);
  work.kvHeads = int32_t(kvHeads);
  work.queries = int32_t(rows);
  work.keys = int32_t(length);
  work.size = work.valueSize = int32_t(size);
  const float scale = node.real("scale", 0);
  work.scale = scale == 0 ? 1 / std::sqrt(static_cast<float>(size)) : scale;
  work.softcap = node.real("softcap", 0);
  work.causal = true;
  work.window = std::max<int64_t>(0, node.integer("local_window_size", -1));
  work.lastKeys = cache.lastKeys;
  work.prompt = cache.prompt;
  work.emptyRow = 0; // of padding behind a short prompt
  work.y = call.out(0, DType::F32, {batch, rows, heads * size}).data<float>();
  work.ys = {rows * heads * size, size, heads * size};
  launchAttention(call, work);
  return true;
}

bool rotary(Call &call) {
  const Node &node = call.node;
  const Shape x = call.shape(0), caches = call.shape(1);
  if (!isDeviceFloat(call.type(0)) || call.type(1) != call.type(0) ||
      call.type(2) != call.type(0) || call.shape(2) != caches || caches.empty() ||
      (x.size() != 3 && x.size() != 4))
    return false;
  RotaryCall work;
  work.type = call.type(0);
  work.half = caches.back();
  work.batch = x[0];
  if (x.size() == 4) {
    work.heads = x[1];
    work.rows = x[2];
    work.size = x[3];
    work.strides = {x[1] * x[2] * x[3], x[2] * x[3], x[3]};
  } else {
    work.heads = node.integer("num_heads", 0);
    work.rows = x[1];
    if (work.heads <= 0 || x[2] % work.heads != 0)
      return false;
    work.size = x[2] / work.heads;
    work.strides = {x[1] * x[2], work.size, x[2]};
  }
  const int64_t rotated = node.integer("rotary_embedding_dim", 0);
  if ((rotated == 0 ? work.size : rotated) != 2 * work.half || 2 * work.half > work.size)
    return false;
  work.interleaved = node.integer("interleaved", 0) != 0;
  Tensor positions;
  if (call.has(3)) {
    if (elementCount(call.shape(3)) != work.batch * work.rows || caches.size() != 2 ||
        (call.type(3) != DType::I64 && call.type(3) != DType::I32))
      return false;
    positions = call.in(3);
    work.positions = positions.raw();
    work.wide = positions.dtype() == DType::I64;
    work.limit = caches[0];
  } else if (elementCount(caches) != work.batch * work.rows * work.half) {
    return false;
  }
  const Tensor in = call.in(0), cosines = call.in(1), sines = call.in(2);
  work.x = in.raw();
  work.cos = cosines.raw();
  work.sin = sines.raw();
  work.y = call.out(0, work.type, x).raw();
  work.flag = call.flag;
  work.mark = call.mark;
  call.each("rotary", work.batch * work.heads * work.rows * (work.size - work.half), work);
  return true;
}

} // namespace

void addAttention(DeviceKernels &table) {
  table[{"uoe", "Attention"}] = attention;
  table[{"com.microsoft", "GroupQueryAttention"}] = groupQuery;
  table[{"", "RotaryEmbedding"}] = rotary;
}

} // namespace uoe::rt::cuda
