// uoe.Attention and RotaryEmbedding on a device.
#include "runtime/cuda/ops/Attention.h"
#include "Call.h"

namespace uoe::rt::cuda {
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
  const int64_t blocks = q.batch * q.heads * ((q.positions + kQueries - 1) / kQueries);
  if (blocks > 0 && v.features > 0)
    call.launch("attention", {static_cast<unsigned>(blocks)}, kAttentionThreads, work,
                static_cast<unsigned>(work.sharedFloats()) * sizeof(float));
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
  table[{"", "RotaryEmbedding"}] = rotary;
}

} // namespace uoe::rt::cuda
