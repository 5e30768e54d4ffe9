#include "runtime/cpu/fused/Weights.h"
#include <limits>

namespace uoe::rt {

std::shared_ptr<const fast::PackedMatrix> packInput(const Node &node, size_t i,
                                                    std::vector<bool> &consumed) {
  const Tensor *weight = node.constant(i);
  if (!weight)
    return nullptr;
  expectType(*weight, DType::F32, "weight");
  check(weight->rank() == 2, "weight: expected a matrix, found shape ", toString(weight->shape()));
  bool transposed = (node.integer("transposed", 0) >> i) & 1;
  int64_t k = weight->dim(transposed ? 1 : 0), n = weight->dim(transposed ? 0 : 1);
  consumed[i] = true;
  return std::make_shared<const fast::PackedMatrix>(
      fast::packExact(weight->data<float>(), k, n, transposed));
}

fast::FfnSource ffnInputs(const Node &node, size_t first, std::vector<bool> &consumed) {
  fast::FfnSource ffn;
  const int64_t transposed = node.integer("transposed", 0);
  auto constant = [&](size_t i) -> const Tensor * {
    const Tensor *t = node.constant(first + i);
    if (t) {
      expectType(*t, DType::F32, "weight");
      consumed[first + i] = true;
    }
    return t;
  };
  auto matrix = [&](size_t i, bool &isTransposed) {
    const Tensor *t = constant(i);
    check(!t || t->rank() == 2, "weight: expected a matrix, found shape ",
          t ? toString(t->shape()) : "");
    isTransposed = (transposed >> (first + i)) & 1;
    return t;
  };
  const Tensor *up = matrix(0, ffn.upTransposed), *gate = matrix(1, ffn.gateTransposed),
               *down = matrix(2, ffn.downTransposed);
  check(up && down, "the weights must be constants");
  ffn.in = up->dim(ffn.upTransposed ? 1 : 0);
  ffn.hidden = up->dim(ffn.upTransposed ? 0 : 1);
  ffn.out = down->dim(ffn.downTransposed ? 0 : 1);
  check(down->dim(ffn.downTransposed ? 1 : 0) == ffn.hidden, "the down matrix ",
        toString(down->shape()), " does not fit ", ffn.hidden, " neurons");
  check(!gate || (gate->dim(ffn.gateTransposed ? 1 : 0) == ffn.in &&
                  gate->dim(ffn.gateTransposed ? 0 : 1) == ffn.hidden),
        "the gate matrix does not fit ", ffn.in, " inputs and ", ffn.hidden, " neurons");
  ffn.up = up->data<float>();
  ffn.gate = gate ? gate->data<float>() : nullptr;
  ffn.down = down->data<float>();
  auto bias = [&](size_t i, int64_t n) -> const float * {
    const Tensor *t = constant(i);
    check(!t || t->size() == n, "bias: expected ", n, " elements, found shape ",
          t ? toString(t->shape()) : "");
    return t ? t->data<float>() : nullptr;
  };
  ffn.upBias = bias(3, ffn.hidden);
  ffn.gateBias = bias(4, ffn.hidden);
  ffn.downBias = bias(5, ffn.out);
  ffn.cut.limit = node.real("limit", std::numeric_limits<float>::infinity());
  ffn.cut.upOffset = node.real("up_offset", 0);
  return ffn;
}

fast::FfnEpilogue epilogueOf(KernelCall &call, size_t input, const Tensor &y) {
  fast::FfnEpilogue epilogue;
  if (const Tensor *residual = call.maybe(input)) {
    expectType(*residual, DType::F32, "residual");
    check(residual->shape() == y.shape(), "residual: expected shape ", toString(y.shape()),
          ", found ", toString(residual->shape()));
    epilogue.residual = residual->data<float>();
    epilogue.ldr = y.dim(-1);
  }
  return epilogue;
}

const float *vectorInput(KernelCall &call, size_t i, int64_t n, const char *what) {
  const Tensor *vector = call.maybe(i);
  if (!vector)
    return nullptr;
  expectType(*vector, DType::F32, what);
  check(vector->size() == n, what, ": expected ", n, " elements, found shape ",
        toString(vector->shape()));
  return vector->data<float>();
}

int64_t rowsOf(const Tensor &x, int64_t columns, const char *what) {
  expectType(x, DType::F32, what);
  check(x.rank() > 0 && x.dim(-1) == columns, what, ": expected ", columns,
        " in the last dimension, found shape ", toString(x.shape()));
  int64_t rows = 1;
  for (int64_t axis = 0; axis + 1 < x.rank(); ++axis)
    rows *= x.shape()[axis];
  return rows;
}

Shape withLast(const Tensor &x, int64_t columns) {
  Shape shape = x.shape();
  shape.back() = columns;
  return shape;
}

// The numbers of enum Activation in dialects/uoe/Ops.td.
fast::Activation activationOf(const Node &node) {
  using A = fast::Activation;
  static const A table[] = {A::Identity,  A::Relu,  A::Gelu, A::GeluTanh, A::Silu,
                            A::QuickGelu, A::Relu2, A::Tanh, A::Sigmoid};
  int64_t i = node.integer("activation", 0);
  check(i >= 0 && i < 9, "unknown activation ", i);
  return table[i];
}

} // namespace uoe::rt
