// uoe.Attention: softmax(scale·q·kᵀ + bias)·v. Inputs: q, k, v of rank 4, bias (float32 or bool, up
// to rank 4)?. Attributes q_bshd, k_bshd, v_bshd, y_bshd say which are [batch, position, head,
// feature] rather than [batch, head, position, feature].
#include "runtime/cpu/fast/Attention.h"
#include "runtime/cpu/ops/Register.h"

namespace uoe::rt {
namespace {

struct Layout {
  int64_t batch, heads, positions, features;
  fast::Strides4 strides;
};

Layout layoutOf(const Tensor &x, bool bshd, const char *what) {
  expectType(x, DType::F32, what);
  check(x.rank() == 4, what, ": expected rank 4, found shape ", toString(x.shape()));
  Layout layout;
  layout.batch = x.dim(0);
  layout.heads = x.dim(bshd ? 2 : 1);
  layout.positions = x.dim(bshd ? 1 : 2);
  layout.features = x.dim(3);
  layout.strides.batch = x.dim(1) * x.dim(2) * x.dim(3);
  layout.strides.head = bshd ? x.dim(3) : x.dim(2) * x.dim(3);
  layout.strides.position = bshd ? x.dim(2) * x.dim(3) : x.dim(3);
  layout.strides.feature = 1;
  return layout;
}

// Strides of a tensor that broadcasts to [batch, head, query, key].
fast::Strides4 broadcast(const Tensor &bias, const Shape &to) {
  check(bias.rank() <= 4, "bias: expected rank 4 at most, found shape ", toString(bias.shape()));
  int64_t strides[4] = {0, 0, 0, 0}, step = 1;
  for (int64_t axis = 3, i = bias.rank() - 1; i >= 0; --i, --axis) {
    check(bias.shape()[i] == to[axis] || bias.shape()[i] == 1,
          "bias: expected a shape that broadcasts to ", toString(to), ", found ",
          toString(bias.shape()));
    strides[axis] = bias.shape()[i] == 1 ? 0 : step;
    step *= bias.shape()[i];
  }
  return {strides[0], strides[1], strides[2], strides[3]};
}

void runAttention(KernelCall &call) {
  const Tensor &qt = call.in(0), &kt = call.in(1), &vt = call.in(2);
  Layout q = layoutOf(qt, call.node.integer("q_bshd", 0), "query");
  Layout k = layoutOf(kt, call.node.integer("k_bshd", 0), "key");
  Layout v = layoutOf(vt, call.node.integer("v_bshd", 0), "value");
  check(q.batch == k.batch && k.batch == v.batch && k.heads == v.heads &&
            k.positions == v.positions && q.features == k.features &&
            (k.heads > 0 && q.heads % k.heads == 0),
        "query ", toString(qt.shape()), ", key ", toString(kt.shape()), " and value ",
        toString(vt.shape()), " do not fit each other");
  fast::AttentionArgs args;
  args.batch = q.batch;
  args.heads = q.heads;
  args.kvHeads = k.heads;
  args.queries = q.positions;
  args.keys = k.positions;
  args.size = q.features;
  args.valueSize = v.features;
  args.q = qt.data<float>();
  args.k = kt.data<float>();
  args.v = vt.data<float>();
  args.qStrides = q.strides;
  args.kStrides = k.strides;
  args.vStrides = v.strides;
  args.scale = call.node.real("scale", 1.0f);
  args.causal = call.node.integer("causal", 0);
  args.offset = k.positions - q.positions;
  args.window = call.node.integer("window", 0);
  args.softcap = call.node.real("softcap", 0.0f);
  args.emptyRow = call.node.integer("boolean_zero", 0) ? 0.0f : NAN;
  if (const Tensor *bias = call.maybe(3)) {
    fast::Strides4 strides = broadcast(*bias, {q.batch, q.heads, q.positions, k.positions});
    if (bias->dtype() == DType::Bool) {
      args.mask = bias->data<uint8_t>();
      args.maskStrides = strides;
    } else {
      expectType(*bias, DType::F32, "bias");
      args.bias = bias->data<float>();
      args.biasStrides = strides;
    }
  }
  bool bshd = call.node.integer("y_bshd", 0);
  Tensor &y = call.out(0, DType::F32,
                       bshd ? Shape{q.batch, q.positions, q.heads, v.features}
                            : Shape{q.batch, q.heads, q.positions, v.features});
  args.output = y.data<float>();
  args.outputStrides = layoutOf(y, bshd, "result").strides;
  fast::attention(args);
}

} // namespace

void registerFusedAttention(KernelTable &table) {
  table.add("uoe", "Attention", runAttention);
}

} // namespace uoe::rt
