// uoe.GatheredAttention: experts of heads that attend over the tokens which chose them. Inputs:
// x [batch, tokens, d], offsets, ids, weights?, and constants q, k, v [d, .., columns],
// o [.., rows, e], bias_q?, bias_k?, bias_v?; cosines and sines [batch, tokens, angles]?; bias,
// float32 or bool, of keys [batch, tokens] or of pairs [batch, tokens, tokens]?; residual of the
// result's shape?. A batch of 1 stands for all samples. Attributes: those of uoe.Attention,
// `experts`, `heads` and `kv_heads` of an expert, `rotated`, `interleaved`, `compacted_tables`,
// `compacted_bias`.
#include "runtime/cpu/fast/GatheredAttention.h"
#include "runtime/cpu/fused/Routing.h"
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"
#include <cmath>

namespace uoe::rt {
namespace {

enum Input : size_t {
  X,
  Offsets,
  Ids,
  Weights,
  Q,
  K,
  V,
  O,
  BiasQ,
  BiasK,
  BiasV,
  Cosines,
  Sines,
  Bias,
  Residual
};

using Packed = std::shared_ptr<const fast::PackedHeads>;

const Tensor *constant(const Node &node, size_t i, std::vector<bool> &consumed) {
  const Tensor *t = node.constant(i);
  if (t) {
    expectType(*t, DType::F32, "weight");
    consumed[i] = true;
  }
  return t;
}

// Constant i, of any rank, as a matrix whose rows, or with `byColumns` whose columns, are its first
// or last dimension.
fast::HeadsSource::Matrix matrix(const Node &node, size_t i, bool byColumns,
                                 std::vector<bool> &consumed, int64_t &rows, int64_t &columns) {
  const Tensor *t = constant(node, i, consumed);
  check(t, "the weights must be constants");
  const bool transposed = (node.integer("transposed", 0) >> i) & 1;
  check(t->rank() >= 2 && t->size() > 0 && (!transposed || t->rank() == 2),
        "weight: expected a matrix, found shape ", toString(t->shape()));
  const int64_t known = byColumns ? t->dim(-1) : t->dim(0), other = t->size() / known;
  rows = transposed ? t->dim(1) : byColumns ? other : known;
  columns = transposed ? t->dim(0) : byColumns ? known : other;
  fast::HeadsSource::Matrix result;
  result.data = t->data<float>();
  result.stepRow = transposed ? 1 : columns;
  result.stepColumn = transposed ? rows : 1;
  return result;
}

std::any prepare(const Node &node, std::vector<bool> &consumed) {
  fast::HeadsSource s;
  s.experts = node.integer("experts", 1);
  s.heads = node.integer("heads", 1);
  s.kvHeads = node.integer("kv_heads", 1);
  check(s.experts >= 1 && s.heads >= 1 && s.kvHeads >= 1, "experts, heads: expected at least 1");
  int64_t qColumns, kRows, kColumns, vRows, vColumns, oRows;
  s.q = matrix(node, Q, false, consumed, s.in, qColumns);
  s.k = matrix(node, K, false, consumed, kRows, kColumns);
  s.v = matrix(node, V, false, consumed, vRows, vColumns);
  s.o = matrix(node, O, true, consumed, oRows, s.out);
  s.size = qColumns / (s.experts * s.heads);
  s.valueSize = vColumns / (s.experts * s.kvHeads);
  check(kRows == s.in && vRows == s.in && qColumns == s.experts * s.heads * s.size &&
            kColumns == s.experts * s.kvHeads * s.size &&
            vColumns == s.experts * s.kvHeads * s.valueSize &&
            oRows == s.experts * s.heads * s.valueSize,
        "the matrices do not fit ", s.experts, " experts of ", s.heads, " heads and ", s.kvHeads,
        " key heads");
  auto bias = [&](size_t i, int64_t n) -> const float * {
    const Tensor *t = constant(node, i, consumed);
    check(!t || t->size() == n, "bias: expected ", n, " elements, found shape ",
          t ? toString(t->shape()) : "");
    return t ? t->data<float>() : nullptr;
  };
  s.q.bias = bias(BiasQ, qColumns);
  s.k.bias = bias(BiasK, kColumns);
  s.v.bias = bias(BiasV, vColumns);
  return Packed(std::make_shared<const fast::PackedHeads>(s));
}

// Elements from one sample to the next of an input whose first dimension is the batch or 1.
int64_t sampleStep(const Tensor &t, int64_t samples, const char *what) {
  check(t.dim(0) == samples || t.dim(0) == 1, what, ": expected a batch of ", samples,
        ", found shape ", toString(t.shape()));
  return t.dim(0) == 1 || samples == 0 ? 0 : t.size() / samples;
}

fast::RotaryTables tablesOf(KernelCall &call, const Tensor &x, int64_t size) {
  fast::RotaryTables tables;
  const Tensor *cosines = call.maybe(Cosines), *sines = call.maybe(Sines);
  if (!cosines || !sines)
    return tables;
  expectType(*cosines, DType::F32, "cosines");
  expectType(*sines, DType::F32, "sines");
  const int64_t rotated = call.node.integer("rotated", 0);
  tables.half = (rotated > 0 ? rotated : size) / 2;
  tables.interleaved = call.node.integer("interleaved", 0) != 0;
  tables.compacted = call.node.integer("compacted_tables", 0) != 0;
  check(cosines->rank() == 3 && cosines->shape() == sines->shape() && cosines->dim(1) == x.dim(1) &&
            cosines->dim(2) == tables.half && 2 * tables.half <= size,
        "tables: expected shape [batch, ", x.dim(1), ", ", tables.half, "], found ",
        toString(cosines->shape()), " and ", toString(sines->shape()));
  tables.cosines = cosines->data<float>();
  tables.sines = sines->data<float>();
  tables.stepSample = sampleStep(*cosines, x.dim(0), "tables");
  tables.stepToken = tables.half;
  return tables;
}

void readBias(KernelCall &call, const Tensor &x, fast::GatheredArgs &args) {
  const Tensor *bias = call.maybe(Bias);
  if (!bias)
    return;
  const int64_t length = x.dim(1);
  check((bias->rank() == 2 || bias->rank() == 3) && bias->dim(1) == length &&
            bias->dim(-1) == length,
        "bias: expected shape [batch, ", length, "] or [batch, ", length, ", ", length, "], found ",
        toString(bias->shape()));
  fast::Strides4 strides{sampleStep(*bias, x.dim(0), "bias"), 0, bias->rank() == 3 ? length : 0, 1};
  args.biasCompacted = call.node.integer("compacted_bias", 0) != 0;
  if (bias->dtype() == DType::Bool) {
    args.attention.mask = bias->data<uint8_t>();
    args.attention.maskStrides = strides;
    return;
  }
  expectType(*bias, DType::F32, "bias");
  args.attention.bias = bias->data<float>();
  args.attention.biasStrides = strides;
}

void run(KernelCall &call) {
  auto *state = std::any_cast<Packed>(&call.state);
  check(state && *state, "the weights must be constants");
  const fast::PackedHeads &block = **state;
  const Tensor &x = call.in(X);
  rowsOf(x, block.in, "input 0");
  check(x.rank() == 3, "input 0: expected shape [batch, tokens, ", block.in, "], found ",
        toString(x.shape()));
  fast::GatheredArgs args;
  args.x = x.data<float>();
  args.ldx = block.in;
  args.samples = x.dim(0);
  args.length = x.dim(1);
  fast::Choice own;
  args.routing = routingOf(call, Offsets, x, {}, own);
  args.tables = tablesOf(call, x, block.size);
  args.attention.scale = call.node.real("scale", 1.0f);
  args.attention.causal = call.node.integer("causal", 0) != 0;
  args.attention.window = call.node.integer("window", 0);
  args.attention.softcap = call.node.real("softcap", 0.0f);
  args.attention.emptyRow = call.node.integer("boolean_zero", 0) ? 0.0f : NAN;
  readBias(call, x, args);
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  fast::FfnEpilogue epilogue;
  if (const Tensor *residual = call.maybe(Residual)) {
    expectType(*residual, DType::F32, "residual");
    check(residual->shape() == y.shape(), "residual: expected shape ", toString(y.shape()),
          ", found ", toString(residual->shape()));
    epilogue.residual = residual->data<float>();
    epilogue.ldr = block.out;
  }
  fast::gatheredAttention(block, args, y.data<float>(), block.out, epilogue);
}

} // namespace

void registerGatheredAttention(KernelTable &table) {
  table.add("uoe", "GatheredAttention", run, prepare);
}

} // namespace uoe::rt
