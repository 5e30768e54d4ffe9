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

namespace {

/// Matrix `i` of the block in codes, which are input `at`.
const fast::QuantizedSource *codesOf(const Node &node, size_t i, size_t at, size_t behind,
                                     std::vector<bool> &consumed,
                                     fast::QuantizedSource (*codes)[3]) {
  const std::vector<int64_t> formats = node.integers("packed");
  if (formats.empty())
    return nullptr;
  check(codes && formats.size() == 6, "packed: expected bits and block of three matrices");
  if (formats[2 * i] == 0)
    return nullptr;
  const size_t scaleInput = behind + 2 * i, zeroInput = scaleInput + 1;
  const Tensor *data = node.constant(at), *scales = node.constant(scaleInput),
               *zeros = node.constant(zeroInput);
  check(data && scales, "the weights must be constants");
  expectType(*data, DType::U8, "codes");
  expectType(*scales, DType::F32, "scales");
  fast::QuantizedSource &q = (*codes)[i];
  q.bits = static_cast<int>(formats[2 * i]);
  q.block = formats[2 * i + 1];
  fast::checkQuantized(q);
  check(data->rank() == 2, "codes: expected a matrix, found shape ", toString(data->shape()));
  q.n = data->dim(0);
  q.k = data->dim(1) * 8 / q.bits;
  check(q.k % q.block == 0, "codes: ", q.k, " rows are no multiple of the block ", q.block);
  const int64_t blocks = q.k / q.block;
  check(scales->size() == q.n * blocks, "scales: expected ", q.n * blocks,
        " elements, found shape ", toString(scales->shape()));
  q.codes = data->data<uint8_t>();
  q.scales = scales->data<float>();
  consumed[at] = consumed[scaleInput] = true;
  if (!zeros)
    return &q;
  expectType(*zeros, DType::U8, "zero points");
  check(zeros->size() == q.n * ((blocks * q.bits + 7) / 8), "zero points: expected ",
        q.n * ((blocks * q.bits + 7) / 8), " bytes, found shape ", toString(zeros->shape()));
  q.zeros = zeros->data<uint8_t>();
  consumed[zeroInput] = true;
  return &q;
}

} // namespace

fast::FfnSource ffnInputs(const Node &node, size_t first, std::vector<bool> &consumed,
                          size_t behind, fast::QuantizedSource (*codes)[3]) {
  fast::FfnSource ffn;
  ffn.upCodes = codesOf(node, 0, first, behind, consumed, codes);
  ffn.gateCodes = codesOf(node, 1, first + 1, behind, consumed, codes);
  ffn.downCodes = codesOf(node, 2, first + 2, behind, consumed, codes);
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
  const Tensor *up = ffn.upCodes ? nullptr : matrix(0, ffn.upTransposed),
               *gate = ffn.gateCodes ? nullptr : matrix(1, ffn.gateTransposed),
               *down = ffn.downCodes ? nullptr : matrix(2, ffn.downTransposed);
  check((up || ffn.upCodes) && (down || ffn.downCodes), "the weights must be constants");
  // Rows and columns, whichever way a matrix is given.
  auto rows = [](const fast::QuantizedSource *codes, const Tensor *t, bool transposed) {
    return codes ? codes->k : t->dim(transposed ? 1 : 0);
  };
  auto columns = [](const fast::QuantizedSource *codes, const Tensor *t, bool transposed) {
    return codes ? codes->n : t->dim(transposed ? 0 : 1);
  };
  ffn.in = rows(ffn.upCodes, up, ffn.upTransposed);
  ffn.hidden = columns(ffn.upCodes, up, ffn.upTransposed);
  ffn.out = columns(ffn.downCodes, down, ffn.downTransposed);
  check(rows(ffn.downCodes, down, ffn.downTransposed) == ffn.hidden, "the down matrix of ",
        rows(ffn.downCodes, down, ffn.downTransposed), " rows does not fit ", ffn.hidden,
        " neurons");
  check((!gate && !ffn.gateCodes) ||
            (rows(ffn.gateCodes, gate, ffn.gateTransposed) == ffn.in &&
             columns(ffn.gateCodes, gate, ffn.gateTransposed) == ffn.hidden),
        "the gate matrix does not fit ", ffn.in, " inputs and ", ffn.hidden, " neurons");
  ffn.up = up ? up->data<float>() : nullptr;
  ffn.gate = gate ? gate->data<float>() : nullptr;
  ffn.down = down ? down->data<float>() : nullptr;
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
