#include "runtime/cpu/fused/Weights.h"

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
