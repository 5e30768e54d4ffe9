// Integer matrix products: MatMulInteger, QLinearMatMul, and com.microsoft's fused forms with
// scales.
#include "QuantizedMatMul.h"
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <cmath>

namespace uoe::rt {
namespace {

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

/// (A - zeroA)·(B - zeroB), exact in int32. Zero points may be null, per row of A, per column of B.
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
  std::vector<int16_t> left(a.size());
  for (int64_t m = 0; m < aCount; ++m)
    for (int64_t r = 0; r < rows; ++r) {
      int32_t zero = zeroA ? element(*zeroA, lineA.at(m, r)) : 0;
      int64_t first = (m * rows + r) * depth;
      if (a.dtype() == DType::U8)
        for (int64_t k = 0; k < depth; ++k)
          left[first + k] = static_cast<int16_t>(a.data<uint8_t>()[first + k] - zero);
      else
        for (int64_t k = 0; k < depth; ++k)
          left[first + k] = static_cast<int16_t>(a.data<int8_t>()[first + k] - zero);
    }
  const auto &constants = node.constants;
  bool constant = bIndex < constants.size() && constants[bIndex];
  auto *cached = std::any_cast<ShortMatrices>(&call.state);
  ShortMatrices right;
  const void *zeroSource = zeroB ? zeroB->raw() : nullptr;
  if (constant && cached && cached->source == b.raw() && cached->zeroSource == zeroSource) {
    right = *cached;
  } else {
    right.data = std::make_shared<std::vector<int16_t>>(b.size());
    for (int64_t m = 0; m < bCount; ++m)
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t j = 0; j < columns; ++j) {
          int32_t zero = zeroB ? element(*zeroB, lineB.at(m, j)) : 0;
          (*right.data)[(m * columns + j) * depth + k] =
              static_cast<int16_t>(element(b, (m * depth + k) * columns + j) - zero);
        }
    right.source = b.raw();
    right.zeroSource = zeroSource;
    if (constant)
      call.state = right;
  }
  IntegerProduct product;
  product.sums = Tensor(DType::I32, p.result);
  int32_t *out = product.sums.data<int32_t>();
  int64_t count = static_cast<int64_t>(p.aOffset.size());
  if (product.sums.size() > 0) {
    if (bCount == 1 && aCount == count) {
      multiplyShorts(left.data(), rows * count, right.data->data(), depth, columns, out);
    } else {
      for (int64_t i = 0; i < count; ++i)
        multiplyShorts(left.data() + p.aOffset[i] * rows * depth, rows,
                       right.data->data() + p.bOffset[i] * columns * depth, depth, columns,
                       out + i * rows * columns);
    }
  }
  if (product.sums.size() > 0 && node.integer("saturating", 0) && a.dtype() == DType::U8 &&
      b.dtype() == DType::I8)
    for (int64_t i = 0; i < count; ++i)
      addPairSaturation(left.data() + p.aOffset[i] * rows * depth,
                        lineZeros(zeroA, lineA, p.aOffset[i], rows).data(), rows,
                        right.data->data() + p.bOffset[i] * columns * depth,
                        lineZeros(zeroB, lineB, p.bOffset[i], columns).data(), columns, depth,
                        nullptr, out + i * rows * columns);
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
  for (int64_t m = 0; m < count; ++m)
    for (int64_t r = 0; r < p.rows; ++r) {
      float rowScale = a.data<float>()[lineA.at(m, r)];
      int64_t first = (m * p.rows + r) * p.columns;
      for (int64_t j = 0; j < p.columns; ++j)
        out[first + j] = static_cast<float>(sums[first + j]) *
                             (rowScale * b.data<float>()[lineB.at(m, j)] / unit) +
                         (bias ? c.data<float>()[j] : 0.0f);
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
