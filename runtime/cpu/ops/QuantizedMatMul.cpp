// Integer matrix products: MatMulInteger, QLinearMatMul, and com.microsoft's fused forms with
// scales.
#include "QuantizedMatMul.h"
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"
#include "runtime/cpu/fast/Integers.h"
#include <algorithm>
#include <cmath>

namespace uoe::rt {
namespace {

/// The right-hand matrices, as their products want them.
struct PackedMatrices {
  std::shared_ptr<std::vector<fast::IntegerMatrix>> data;
  const void *source = nullptr;
};

/// The right-hand matrices, zero point subtracted, transposed: count × columns × depth.
struct ShortMatrices {
  std::shared_ptr<std::vector<int16_t>> data;
  const void *source = nullptr, *zeroSource = nullptr;
};

int32_t element(const Tensor &tensor, int64_t i) {
  return tensor.dtype() == DType::I8 ? tensor.data<int8_t>()[i] : tensor.data<uint8_t>()[i];
}

void expectByte(const Node &node, const Tensor &tensor, const char *what) {
  check(tensor.dtype() == DType::I8 || tensor.dtype() == DType::U8, node.op, ": ", what,
        " must be int8 or uint8, found ", nameOf(tensor.dtype()));
}

/// A scalar, one value a row (or column), or one a row of every matrix: how to find that of matrix
/// m, line i.
struct PerLine {
  bool scalar = true;
  int64_t matrixStep = 0;
  int64_t at(int64_t matrix, int64_t line) const { return scalar ? 0 : matrix * matrixStep + line; }
};

PerLine perLine(const Node &node, const Tensor &tensor, int64_t matrices, int64_t lines,
                const char *what) {
  PerLine p;
  if (tensor.size() == 1)
    return p;
  p.scalar = false;
  check(tensor.size() == lines || tensor.size() == lines * matrices, node.op, ": ", what,
        " must be a scalar or have ", lines, " elements, found shape ", toString(tensor.shape()));
  p.matrixStep = tensor.size() == lines ? 0 : lines;
  return p;
}

/// Zero points of one matrix' lines; 0 where there are none.
std::vector<int32_t> lineZeros(const Tensor *zeros, const PerLine &line, int64_t matrix,
                               int64_t lines) {
  std::vector<int32_t> values(lines, 0);
  for (int64_t i = 0; i < lines && zeros; ++i)
    values[i] = element(*zeros, line.at(matrix, i));
  return values;
}

struct IntegerProduct {
  MatMulPlan plan;
  Tensor sums; // int32
};

struct ProductOperands {
  const Tensor &a, &b;
  const Tensor *zeroA, *zeroB;
  PerLine lineA, lineB;
  int64_t aCount, bCount; // matrices
};

void exactProduct(KernelCall &call, size_t bIndex, const ProductOperands &x, const MatMulPlan &p,
                  int32_t *out) {
  const bool constant = call.node.constant(bIndex), isSigned = x.b.dtype() == DType::I8;
  PackedMatrices packed;
  if (auto *cached = std::any_cast<PackedMatrices>(&call.state);
      constant && cached && cached->source == x.b.raw()) {
    packed = *cached;
  } else {
    packed.source = x.b.raw();
    packed.data = std::make_shared<std::vector<fast::IntegerMatrix>>();
    for (int64_t m = 0; m < x.bCount; ++m)
      packed.data->emplace_back(static_cast<const char *>(x.b.raw()) + m * p.depth * p.columns,
                                isSigned, p.depth, p.columns);
    if (constant)
      call.state = packed;
  }
  // Matrices that share the right one are one, if their rows' zero points go on likewise.
  const int64_t count = static_cast<int64_t>(p.aOffset.size());
  const bool together = x.bCount == 1 && x.aCount == count &&
                        (x.lineA.scalar || x.lineA.matrixStep == p.rows || count == 1);
  const int64_t rows = together ? p.rows * count : p.rows;
  for (int64_t i = 0; i < (together ? 1 : count); ++i) {
    const int64_t ofA = together ? 0 : p.aOffset[i], ofB = together ? 0 : p.bOffset[i];
    const std::vector<int32_t> zerosA = lineZeros(x.zeroA, x.lineA, ofA, rows);
    const std::vector<int32_t> zerosB = lineZeros(x.zeroB, x.lineB, ofB, p.columns);
    fast::gemm(static_cast<const char *>(x.a.raw()) + ofA * p.rows * p.depth,
               x.a.dtype() == DType::I8, p.depth, rows, (*packed.data)[ofB],
               {x.zeroA ? zerosA.data() : nullptr, 1}, {x.zeroB ? zerosB.data() : nullptr, 1},
               out + i * rows * p.columns, p.columns);
  }
}

/// As x86 processors without VNNI compute uint8 by int8.
void saturatingProduct(KernelCall &call, size_t bIndex, const ProductOperands &x,
                       const MatMulPlan &p, int32_t *out) {
  const int64_t rows = p.rows, depth = p.depth, columns = p.columns;
  std::vector<int16_t> left(x.a.size());
  for (int64_t m = 0; m < x.aCount; ++m) {
    const std::vector<int32_t> zeros = lineZeros(x.zeroA, x.lineA, m, rows);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0, i = (m * rows + r) * depth; k < depth; ++k, ++i)
        left[i] = static_cast<int16_t>(element(x.a, i) - zeros[r]);
  }
  const bool constant = call.node.constant(bIndex);
  const void *zeroSource = x.zeroB ? x.zeroB->raw() : nullptr;
  ShortMatrices right;
  if (auto *cached = std::any_cast<ShortMatrices>(&call.state);
      constant && cached && cached->source == x.b.raw() && cached->zeroSource == zeroSource) {
    right = *cached;
  } else {
    right.data = std::make_shared<std::vector<int16_t>>(x.b.size());
    for (int64_t m = 0; m < x.bCount; ++m) {
      const std::vector<int32_t> zeros = lineZeros(x.zeroB, x.lineB, m, columns);
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = 0; j < columns; ++j)
          (*right.data)[(m * columns + j) * depth + k] =
              static_cast<int16_t>(element(x.b, (m * depth + k) * columns + j) - zeros[j]);
    }
    right.source = x.b.raw();
    right.zeroSource = zeroSource;
    if (constant)
      call.state = right;
  }
  for (int64_t i = 0, count = static_cast<int64_t>(p.aOffset.size()); i < count; ++i) {
    const int16_t *ofA = left.data() + p.aOffset[i] * rows * depth;
    const int16_t *ofB = right.data->data() + p.bOffset[i] * columns * depth;
    multiplyShorts(ofA, rows, ofB, depth, columns, out + i * rows * columns);
    addPairSaturation(ofA, lineZeros(x.zeroA, x.lineA, p.aOffset[i], rows).data(), rows, ofB,
                      lineZeros(x.zeroB, x.lineB, p.bOffset[i], columns).data(), columns, depth,
                      nullptr, out + i * rows * columns);
  }
}

/// (A - zeroA)·(B - zeroB) in int32. Zero points may be null, per row of A, per column of B.
IntegerProduct integerProduct(KernelCall &call, size_t bIndex, const Tensor &a, const Tensor *zeroA,
                              const Tensor *zeroB) {
  const Node &node = call.node;
  const Tensor &b = call.in(bIndex);
  expectByte(node, a, "A");
  expectByte(node, b, "B");
  MatMulPlan p = planMatMul(node, a.shape(), b.shape(), false);
  int64_t rows = p.rows, depth = p.depth, columns = p.columns;
  check(depth < 1 << 15, node.op, ": the inner dimension must be below 32768, found ", depth);
  int64_t aCount = rows * depth ? a.size() / (rows * depth) : 0;
  int64_t bCount = columns * depth ? b.size() / (columns * depth) : 0;
  PerLine lineA, lineB;
  if (zeroA) {
    expectByte(node, *zeroA, "A's zero point");
    lineA = perLine(node, *zeroA, aCount, rows, "A's zero point");
  }
  if (zeroB) {
    expectByte(node, *zeroB, "B's zero point");
    lineB = perLine(node, *zeroB, bCount, columns, "B's zero point");
  }
  IntegerProduct product;
  product.sums = Tensor(DType::I32, p.result);
  ProductOperands operands{a, b, zeroA, zeroB, lineA, lineB, aCount, bCount};
  if (depth == 0) {
    std::fill_n(product.sums.data<int32_t>(), product.sums.size(), 0);
  } else if (product.sums.size() > 0) {
    if (node.integer("saturating", 0) && a.dtype() == DType::U8 && b.dtype() == DType::I8)
      saturatingProduct(call, bIndex, operands, p, product.sums.data<int32_t>());
    else
      exactProduct(call, bIndex, operands, p, product.sums.data<int32_t>());
  }
  product.plan = std::move(p);
  return product;
}

void runMatMulInteger(KernelCall &call) {
  call.set(0, integerProduct(call, 1, call.in(0), call.maybe(2), call.maybe(3)).sums);
}

/// sums·(scaleA·scaleB / unit) (+ bias) as float. scaleA is a scalar or one a row, scaleB a scalar
/// or one a column.
Tensor scaled(const Node &node, const IntegerProduct &product, const Tensor &scaleA,
              const Tensor &scaleB, const Tensor *bias, float unit = 1.0f) {
  const MatMulPlan &p = product.plan;
  Tensor a = castReal(scaleA, DType::F32), b = castReal(scaleB, DType::F32), c;
  int64_t count = static_cast<int64_t>(p.aOffset.size());
  PerLine lineA = perLine(node, a, count, p.rows, "A's scale");
  PerLine lineB = perLine(node, b, count, p.columns, "B's scale");
  if (bias) {
    check(bias->size() == p.columns, node.op, ": the bias must have ", p.columns,
          " elements, found shape ", toString(bias->shape()));
    c = castReal(*bias, DType::F32);
  }
  Tensor result(DType::F32, product.sums.shape());
  const int32_t *sums = product.sums.data<int32_t>();
  float *out = result.data<float>();
  std::vector<float> factors(p.columns);
  const float *factor = factors.data(), *offset = bias ? c.data<float>() : nullptr;
  for (int64_t m = 0; m < count; ++m)
    for (int64_t r = 0; r < p.rows; ++r) {
      // One scale for all rows is multiplied into the columns' once.
      if ((m == 0 && r == 0) || !lineA.scalar || (r == 0 && !lineB.scalar)) {
        const float rowScale = a.data<float>()[lineA.at(m, r)];
        for (int64_t j = 0; j < p.columns; ++j)
          factors[j] = rowScale * b.data<float>()[lineB.at(m, j)] / unit;
      }
      const int32_t *from = sums + (m * p.rows + r) * p.columns;
      float *to = out + (m * p.rows + r) * p.columns;
      for (int64_t j = 0; j < p.columns; ++j)
        to[j] = static_cast<float>(from[j]) * factor[j] + (offset ? offset[j] : 0.0f);
    }
  return result;
}

void runQLinearMatMul(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &zeroY = call.in(7);
  expectByte(node, zeroY, "y_zero_point");
  check(call.in(6).size() == 1 && zeroY.size() == 1, node.op,
        ": y_scale and y_zero_point must be scalars, found shapes ", toString(call.in(6).shape()),
        " and ", toString(zeroY.shape()));
  IntegerProduct product = integerProduct(call, 3, call.in(0), &call.in(2), &call.in(5));
  float scale = static_cast<float>(toDouble(call.in(6), "QLinearMatMul: y_scale"));
  Tensor real = scaled(node, product, call.in(1), call.in(4), nullptr, scale);
  float zero = static_cast<float>(element(zeroY, 0));
  bool isSigned = zeroY.dtype() == DType::I8;
  float low = isSigned ? -128.0f : 0.0f, high = isSigned ? 127.0f : 255.0f;
  Tensor &result = call.out(0, zeroY.dtype(), real.shape());
  for (int64_t i = 0, n = real.size(); i < n; ++i) {
    float v = std::nearbyint(real.data<float>()[i]) + zero;
    v = v > low ? v : low;
    v = v < high ? v : high;
    static_cast<uint8_t *>(result.raw())[i] = static_cast<uint8_t>(static_cast<int32_t>(v));
  }
}

/// Inputs: A, B, A's scale, B's scale, A's zero point, B's zero point, bias.
void runMatMulIntegerToFloat(KernelCall &call) {
  IntegerProduct product = integerProduct(call, 1, call.in(0), call.maybe(4), call.maybe(5));
  setReal(call, 0, scaled(call.node, product, call.in(2), call.in(3), call.maybe(6)),
          call.in(2).dtype());
}

/// Inputs: float A, B, B's scale, B's zero point, bias. A is quantised to uint8 over its own range.
void runDynamicQuantizeMatMul(KernelCall &call) {
  Tensor x = inputAs<float>(call, 0);
  float low = 0, high = 0;
  for (int64_t i = 0, n = x.size(); i < n; ++i) {
    low = std::min(low, x.data<float>()[i]);
    high = std::max(high, x.data<float>()[i]);
  }
  float scale = low == high ? 1.0f : (high - low) / 255.0f;
  float zero = std::nearbyint(std::min(255.0f, std::max(0.0f, -low / scale)));
  Tensor a(DType::U8, x.shape()), zeroA(DType::U8, {}), scaleA(DType::F32, {});
  for (int64_t i = 0, n = x.size(); i < n; ++i)
    a.data<uint8_t>()[i] = static_cast<uint8_t>(
        std::min(255.0f, std::max(0.0f, std::nearbyint(x.data<float>()[i] / scale) + zero)));
  *zeroA.data<uint8_t>() = static_cast<uint8_t>(zero);
  *scaleA.data<float>() = scale;
  IntegerProduct product = integerProduct(call, 1, a, &zeroA, call.maybe(3));
  setReal(call, 0, scaled(call.node, product, scaleA, call.in(2), call.maybe(4)),
          call.in(0).dtype());
}

} // namespace

Tensor scaledIntegerProduct(KernelCall &call, const Tensor &a, size_t bIndex, const Tensor &scaleA,
                            const Tensor &scaleB, const Tensor *zeroA, const Tensor *zeroB,
                            const Tensor *bias) {
  return scaled(call.node, integerProduct(call, bIndex, a, zeroA, zeroB), scaleA, scaleB, bias);
}

void registerQuantizedMatMul(KernelTable &table) {
  table.add("", "MatMulInteger", runMatMulInteger);
  table.add("", "QLinearMatMul", runQLinearMatMul);
  table.add("com.microsoft", "MatMulIntegerToFloat", runMatMulIntegerToFloat);
  table.add("com.microsoft", "DynamicQuantizeMatMul", runDynamicQuantizeMatMul);
}

} // namespace uoe::rt
