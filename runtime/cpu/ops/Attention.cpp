// ai.onnx Attention: operator sets 23 and 24 (and the windows of 25).
#include "AttentionCore.h"
#include "Numeric.h"
#include "Register.h"
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// An operand of 3 dimensions (batch, rows, heads · size) or 4 (batch, heads, rows, size).
template <typename T> struct Heads {
  Tensor tensor;
  int64_t batch, heads, rows, size;
  AttentionStrides strides;
};

template <typename T>
Heads<T> headsOf(KernelCall &call, size_t i, const char *attribute, const char *what) {
  Heads<T> h;
  h.tensor = inputAs<T>(call, i);
  const Shape &shape = h.tensor.shape();
  check(shape.size() == 3 || shape.size() == 4, "Attention: ", what,
        " must have 3 or 4 dimensions, found shape ", toString(shape));
  h.batch = shape[0];
  if (shape.size() == 4) {
    h.heads = shape[1];
    h.rows = shape[2];
    h.size = shape[3];
    h.strides = headMajor(h.heads, h.rows, h.size);
    return h;
  }
  h.heads = call.node.integer(attribute, 0);
  check(h.heads > 0 && shape[2] % h.heads == 0, "Attention: ", attribute, " (", h.heads,
        ") must be positive and divide the width of ", what, ", found shape ", toString(shape));
  h.rows = shape[1];
  h.size = shape[2] / h.heads;
  h.strides = rowMajor(h.heads, h.rows, h.size);
  return h;
}

/// The mask as something to add: false is -inf.
template <typename T> Tensor additive(const Tensor &mask) {
  if (mask.dtype() != DType::Bool) {
    check(isReal(mask.dtype()), "Attention: attn_mask must be bool or float, found ",
          nameOf(mask.dtype()));
    return castReal(mask, DTypeOf<T>::value);
  }
  Tensor result(DTypeOf<T>::value, mask.shape());
  const bool *from = mask.data<bool>();
  for (int64_t i = 0, n = mask.size(); i < n; ++i)
    result.data<T>()[i] = from[i] ? T(0) : -std::numeric_limits<T>::infinity();
  return result;
}

template <typename T> void attention(KernelCall &call) {
  const Node &node = call.node;
  DType type = call.in(0).dtype();
  Heads<T> q = headsOf<T>(call, 0, "q_num_heads", "Q"),
           k = headsOf<T>(call, 1, "kv_num_heads", "K"),
           v = headsOf<T>(call, 2, "kv_num_heads", "V");
  check(q.tensor.rank() == k.tensor.rank() && q.tensor.rank() == v.tensor.rank() &&
            q.batch == k.batch && q.batch == v.batch && k.rows == v.rows && k.heads == v.heads &&
            q.size == k.size && k.heads > 0 && q.heads % k.heads == 0,
        "Attention: Q, K and V do not fit together, found shapes ", toString(q.tensor.shape()),
        ", ", toString(k.tensor.shape()), " and ", toString(v.tensor.shape()), " with ", q.heads,
        " and ", k.heads, " heads");
  check(call.has(4) == call.has(5),
        "Attention: past_key and past_value come together or not at all");
  AttentionProblem<T> p;
  p.batch = q.batch;
  p.heads = q.heads;
  p.kvHeads = k.heads;
  p.queries = q.rows;
  p.headSize = q.size;
  p.valueSize = v.size;
  p.q = q.tensor.template data<T>();
  p.qs = q.strides;
  int64_t pastRows = 0;
  Tensor pastKey, pastValue;
  if (call.has(4)) {
    pastKey = inputAs<T>(call, 4);
    pastValue = inputAs<T>(call, 5);
    check(pastKey.rank() == 4 && pastValue.rank() == 4,
          "Attention: past_key and past_value must have "
          "4 dimensions, found shapes ",
          toString(pastKey.shape()), " and ", toString(pastValue.shape()));
    pastRows = pastKey.dim(2);
    check(pastKey.shape() == Shape{q.batch, k.heads, pastRows, k.size} &&
              pastValue.shape() == Shape{q.batch, k.heads, pastRows, v.size},
          "Attention: past_key and past_value do not fit K and V, found shapes ",
          toString(pastKey.shape()), " and ", toString(pastValue.shape()));
  }
  p.keys = pastRows + k.rows;
  Tensor presentKey, presentValue;
  if (call.has(4) || call.wants(1) || call.wants(2)) {
    presentKey = appendRows<T>(call.has(4) ? &pastKey : nullptr, k.tensor.template data<T>(),
                               k.strides, k.batch, k.heads, k.rows, k.size);
    presentValue = appendRows<T>(call.has(4) ? &pastValue : nullptr, v.tensor.template data<T>(),
                                 v.strides, v.batch, v.heads, v.rows, v.size);
    p.k = presentKey.data<T>();
    p.v = presentValue.data<T>();
    p.ks = headMajor(k.heads, p.keys, k.size);
    p.vs = headMajor(v.heads, p.keys, v.size);
  } else {
    p.k = k.tensor.template data<T>();
    p.v = v.tensor.template data<T>();
    p.ks = k.strides;
    p.vs = v.strides;
  }
  p.scale = node.has("scale") ? static_cast<T>(node.real("scale", 0))
                              : T(1) / std::sqrt(static_cast<T>(q.size));
  p.softcap = static_cast<T>(node.real("softcap", 0));
  p.causal = node.integer("is_causal", 0);
  p.leftWindow = node.integer("left_window_size", -1);
  p.rightWindow = node.integer("right_window_size", -1);
  std::vector<int64_t> offsets(q.batch, pastRows), valid;
  if (call.has(6)) {
    valid = toInts(call.in(6), "nonpad_kv_seqlen");
    check(static_cast<int64_t>(valid.size()) == q.batch && !call.has(4),
          "Attention: nonpad_kv_seqlen must have one element per batch and excludes past_key, "
          "found shape ",
          toString(call.in(6).shape()));
    for (int64_t b = 0; b < q.batch; ++b)
      offsets[b] = valid[b] - q.rows;
    p.validKeys = valid.data();
  }
  p.offset = offsets.data();
  Tensor mask;
  if (call.has(3)) {
    mask = additive<T>(call.in(3));
    Shape shape = mask.shape();
    check(shape.size() >= 1 && shape.size() <= 4,
          "Attention: attn_mask must have 1 to 4 dimensions, found ", toString(shape));
    int64_t width = shape.back();
    Shape result{p.batch, p.heads, p.queries, width};
    check(width <= p.keys && broadcastShape(node, shape, result) == result,
          "Attention: attn_mask must broadcast to ",
          toString({p.batch, p.heads, p.queries, p.keys}), ", found ", toString(shape));
    if (width == 1 && p.keys > 1) {
      // A single column holds for every key.
      check(mask.size() > 0, "Attention: an empty attn_mask");
      shape.back() = p.keys;
      Tensor wide(DTypeOf<T>::value, shape);
      for (int64_t i = 0, n = wide.size(); i < n; ++i)
        wide.data<T>()[i] = mask.data<T>()[i / p.keys];
      mask = wide;
      width = p.keys;
      result.back() = width;
    }
    auto strides = broadcastStrides(shape, result);
    p.bias = mask.data<T>();
    p.bs = {strides[0], strides[1], strides[2]};
    p.biasKeys = width;
  }
  Tensor result(DTypeOf<T>::value, q.tensor.rank() == 3 ? Shape{q.batch, q.rows, q.heads * v.size}
                                                        : Shape{q.batch, q.heads, q.rows, v.size});
  p.out = result.data<T>();
  p.os =
      q.tensor.rank() == 3 ? rowMajor(q.heads, q.rows, v.size) : headMajor(q.heads, q.rows, v.size);
  Tensor scores;
  if (call.wants(3)) {
    int64_t mode = node.integer("qk_matmul_output_mode", 0);
    check(mode >= 0 && mode <= 3, "Attention: qk_matmul_output_mode must be 0 to 3, found ", mode);
    scores = Tensor(DTypeOf<T>::value, {p.batch, p.heads, p.queries, p.keys});
    p.scores = scores.data<T>();
    p.scoresStage = static_cast<int>(mode);
  }
  attend(p);
  setReal(call, 0, result, type);
  if (call.wants(1))
    setReal(call, 1, presentKey, call.in(1).dtype());
  if (call.wants(2))
    setReal(call, 2, presentValue, call.in(2).dtype());
  if (call.wants(3))
    setReal(call, 3, scores, type);
}

void runAttention(KernelCall &call) {
  withCompute(call.in(0).dtype(), "Attention: Q",
              [&](auto zero) { attention<decltype(zero)>(call); });
}

} // namespace

void registerAttention(KernelTable &table) {
  table.add("", "Attention", runAttention);
}

} // namespace uoe::rt
