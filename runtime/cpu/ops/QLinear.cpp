// com.microsoft's operators on 8-bit tensors with scales: dequantised, computed in float, quantised
// again; and GatherBlockQuantized.
#include "Numeric.h"
#include "QuantizedMatMul.h"
#include "Register.h"
#include "Vector.h"
#include <cmath>
#include <cstring>

namespace uoe::rt {
namespace {

/// One scale and zero point (absent: 0) of a tensor.
struct Scale {
  float scale = 1, zero = 0;
};

Scale scaleOf(KernelCall &call, size_t scaleIndex, size_t zeroIndex) {
  Scale s;
  s.scale = static_cast<float>(toDouble(call.in(scaleIndex), "scale"));
  if (const Tensor *zero = call.maybe(zeroIndex)) {
    check(zero->size() == 1, call.node.op, ": input ", zeroIndex, " must be a scalar, found shape ",
          toString(zero->shape()));
    s.zero = static_cast<float>(toInt32s(*zero, "zero point")[0]);
  }
  return s;
}

Tensor dequantise(KernelCall &call, size_t i) {
  const Tensor &x = call.in(i);
  check(x.dtype() == DType::U8 || x.dtype() == DType::I8, call.node.op, ": input ", i,
        " must be int8 or uint8, found ", nameOf(x.dtype()));
  Scale s = scaleOf(call, i + 1, i + 2);
  Tensor result(DType::F32, x.shape());
  float *to = result.data<float>();
  for (int64_t k = 0, n = x.size(); k < n; ++k)
    to[k] = ((x.dtype() == DType::U8 ? static_cast<float>(x.data<uint8_t>()[k])
                                     : static_cast<float>(x.data<int8_t>()[k])) -
             s.zero) *
            s.scale;
  return result;
}

/// `type` is the result's where there is no zero point. Values are rounded after multiplication by
/// `factor`, or division by the scale if that is 0.
void quantise(KernelCall &call, const Tensor &real, size_t scaleIndex, size_t zeroIndex, DType type,
              float factor = 0) {
  if (const Tensor *zero = call.maybe(zeroIndex))
    type = zero->dtype();
  check(type == DType::U8 || type == DType::I8, call.node.op,
        ": the result must be int8 or uint8, found ", nameOf(type));
  Scale s = scaleOf(call, scaleIndex, zeroIndex);
  Tensor &result = call.out(0, type, real.shape());
  float low = type == DType::I8 ? -128.0f : 0.0f, high = type == DType::I8 ? 127.0f : 255.0f;
  for (int64_t i = 0, n = real.size(); i < n; ++i) {
    float x = real.data<float>()[i];
    float v = std::nearbyint(factor > 0 ? x * factor : x / s.scale) + s.zero;
    v = v > low ? v : low;
    v = v < high ? v : high;
    static_cast<uint8_t *>(result.raw())[i] = static_cast<uint8_t>(static_cast<int32_t>(v));
  }
}

/// Inputs: A, its scale and zero point, B, its scale and zero point, the result's.
template <typename F> void binary(KernelCall &call, F function) {
  Tensor a = dequantise(call, 0), b = dequantise(call, 3);
  Shape shape = broadcastShape(call.node, a.shape(), b.shape());
  auto strideA = broadcastStrides(a.shape(), shape), strideB = broadcastStrides(b.shape(), shape);
  Tensor result(DType::F32, shape);
  for (int64_t i = 0, n = result.size(); i < n; ++i) {
    int64_t rest = i, x = 0, y = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      x += rest % shape[d] * strideA[d];
      y += rest % shape[d] * strideB[d];
      rest /= shape[d];
    }
    result.data<float>()[i] = function(a.data<float>()[x], b.data<float>()[y]);
  }
  quantise(call, result, 6, 7, call.in(0).dtype());
}

void runAdd(KernelCall &call) {
  binary(call, [](float a, float b) { return a + b; });
}
void runMul(KernelCall &call) {
  binary(call, [](float a, float b) { return a * b; });
}

template <typename F> void unary(KernelCall &call, F function) {
  Tensor x = dequantise(call, 0);
  for (int64_t i = 0, n = x.size(); i < n; ++i)
    x.data<float>()[i] = function(x.data<float>()[i]);
  quantise(call, x, 3, 4, call.in(0).dtype());
}

void runSigmoid(KernelCall &call) {
  unary(call, [](float x) { return 1.0f / (1.0f + std::exp(-x)); });
}
void runLeakyRelu(KernelCall &call) {
  float alpha = call.node.real("alpha", 0.01f);
  unary(call, [alpha](float x) { return x < 0 ? alpha * x : x; });
}

void runSoftmax(KernelCall &call) {
  const Node &node = call.node;
  Tensor x = dequantise(call, 0);
  int64_t axis = resolveAxis(node, node.integer("axis", -1), x.rank());
  bool flatten = node.integer("opset", 13) < 13;
  check(flatten || axis == x.rank() - 1, node.op, ": the axis must be the last one, found ", axis);
  int64_t length = extent(x.shape(), axis, x.rank()), rows = extent(x.shape(), 0, axis);
  for (int64_t r = 0; r < rows && length > 0; ++r) {
    float *row = x.data<float>() + r * length;
    float total = vec::expShifted(row, vec::largest(row, length), row, length);
    vec::scale(row, 1.0f / total, length);
  }
  // ONNX Runtime, whose operator this is, counts in units of 1 / floor(1 / scale).
  float perUnit = std::floor(1.0f / scaleOf(call, 3, 4).scale);
  quantise(call, x, 3, 4, call.in(0).dtype(), perUnit);
}

/// Inputs: the result's scale and zero point, then a tensor with scale and zero point, and so on.
void runConcat(KernelCall &call) {
  const Node &node = call.node;
  check(call.count() >= 5 && (call.count() - 2) % 3 == 0, node.op,
        ": expected a scale, a zero point and triples, found ", call.count(), " inputs");
  std::vector<Tensor> parts;
  for (size_t i = 2; i < call.count(); i += 3)
    parts.push_back(dequantise(call, i));
  Shape shape = parts[0].shape();
  int64_t axis = resolveAxis(node, node.integer("axis", 0), parts[0].rank());
  check(!shape.empty(), node.op, ": scalars cannot be concatenated");
  shape[axis] = 0;
  for (const Tensor &part : parts) {
    Shape other = part.shape();
    check(other.size() == shape.size(), node.op, ": shapes ", toString(parts[0].shape()), " and ",
          toString(other), " differ in rank");
    shape[axis] += other[axis];
    other[axis] = parts[0].shape()[axis];
    check(other == parts[0].shape(), node.op, ": shapes ", toString(parts[0].shape()), " and ",
          toString(part.shape()), " differ beside axis ", axis);
  }
  Tensor result(DType::F32, shape);
  int64_t outer = extent(shape, 0, axis), inner = extent(shape, axis + 1, result.rank()), at = 0;
  for (const Tensor &part : parts) {
    int64_t block = part.shape()[axis] * inner;
    for (int64_t o = 0; o < outer && block > 0; ++o)
      std::memcpy(result.data<float>() + o * shape[axis] * inner + at,
                  part.data<float>() + o * block, block * sizeof(float));
    at += block;
  }
  quantise(call, result, 0, 1, call.in(2).dtype());
}

Tensor transposed(const Tensor &x) {
  Tensor result(x.dtype(), {x.dim(1), x.dim(0)});
  for (int64_t i = 0; i < x.dim(0); ++i)
    for (int64_t j = 0; j < x.dim(1); ++j)
      result.data<uint8_t>()[j * x.dim(0) + i] = x.data<uint8_t>()[i * x.dim(1) + j];
  return result;
}

/// Inputs: A, scale, zero point, B, scale, zero point, C (int32, scaled like the product), the
/// result's scale and zero point; without them the result is float.
void runQGemm(KernelCall &call) {
  const Node &node = call.node;
  Tensor a = call.in(0), b = call.in(3);
  for (const Tensor *x : {&a, &b})
    check(x->rank() == 2 && (x->dtype() == DType::U8 || x->dtype() == DType::I8), node.op,
          ": A and B must be matrices of int8 or uint8, found ", nameOf(x->dtype()), " ",
          toString(x->shape()));
  if (node.integer("transA", 0))
    a = transposed(a);
  if (node.integer("transB", 0))
    b = transposed(b);
  // The product's operands in the order of MatMulIntegerToFloat, without a constant: B may just
  // have been transposed.
  Value left(a), right(b);
  std::vector<Value> outputs(1);
  std::any state;
  Node inner;
  inner.op = node.op;
  inner.attributes["saturating"] = node.integer("saturating", 0);
  KernelCall product{inner, {&left, &right}, outputs, {}, state, nullptr};
  float alpha = node.real("alpha", 1.0f);
  Tensor result = scaledIntegerProduct(product, a, 1, call.in(1), call.in(4), call.maybe(2),
                                       call.maybe(5), nullptr);
  int64_t rows = result.dim(0), columns = result.dim(1);
  if (const Tensor *c = call.maybe(6)) {
    expectType(*c, DType::I32, "QGemm: input C");
    check(broadcastShape(node, c->shape(), result.shape()) == result.shape(), node.op,
          ": C must broadcast to ", toString(result.shape()), ", found ", toString(c->shape()));
    auto strides = broadcastStrides(c->shape(), result.shape());
    Tensor scaleA = inputAs<float>(call, 1), scaleB = inputAs<float>(call, 4);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        result.data<float>()[i * columns + j] +=
            static_cast<float>(c->data<int32_t>()[i * strides[0] + j * strides[1]]) *
            (scaleA.data<float>()[0] * scaleB.data<float>()[scaleB.size() == 1 ? 0 : j]);
  }
  if (alpha != 1.0f)
    vec::scale(result.data<float>(), alpha, result.size());
  if (call.has(7))
    quantise(call, result, 7, 8, call.in(0).dtype());
  else
    call.set(0, result);
}

/// Rows (along gather_axis) of data quantised in blocks along another axis. Inputs: data (4-bit, or
/// uint8 that packs `bits` along the last axis), indices, scales, zero points.
void runGather(KernelCall &call) {
  const Node &node = call.node;
  const Tensor &data = call.in(0), &indexTensor = call.in(1);
  bool bytes = data.dtype() == DType::U8;
  check(bytes || data.dtype() == DType::I4 || data.dtype() == DType::U4, node.op,
        ": data must be uint8, int4 or uint4, found ", nameOf(data.dtype()));
  int64_t bits = bytes ? node.integer("bits", 4) : 4, block = node.integer("block_size", 128);
  check((bits == 2 || bits == 4 || bits == 8) && block > 0, node.op,
        ": bits must be 2, 4 or 8 and block_size positive, found ", bits, " and ", block);
  check(data.rank() >= 1, node.op, ": data must not be a scalar");
  int64_t perByte = bytes ? 8 / bits : 1;
  Shape shape = data.shape();
  shape.back() *= perByte;
  int64_t rank = data.rank();
  int64_t gatherAxis = resolveAxis(node, node.integer("gather_axis", 0), rank);
  int64_t blockAxis = resolveAxis(node, node.integer("quantize_axis", 1), rank);
  Shape scaleShape = shape;
  scaleShape[blockAxis] = (shape[blockAxis] + block - 1) / block;
  Tensor scales = inputAs<float>(call, 2);
  check(scales.shape() == scaleShape, node.op, ": the scales must have shape ",
        toString(scaleShape), ", found ", toString(scales.shape()));
  const Tensor *zeros = call.maybe(3);
  Shape zeroShape = scaleShape;
  zeroShape.back() = bytes ? (scaleShape.back() + perByte - 1) / perByte : scaleShape.back();
  if (zeros)
    check(zeros->dtype() == data.dtype() && zeros->shape() == zeroShape, node.op,
          ": the zero points must have the data's type and shape ", toString(zeroShape), ", found ",
          nameOf(zeros->dtype()), " ", toString(zeros->shape()));
  std::vector<int64_t> indices = toInts(indexTensor.reshaped({indexTensor.size()}), "indices");
  auto element = [](const Tensor &from, int64_t row, int64_t column, int64_t rowBytes,
                    int64_t width, int64_t bits, bool packedRows) {
    const uint8_t *p = from.data<uint8_t>();
    int64_t perByte = 8 / bits;
    // uint8 rows start at a byte; 4-bit tensors are packed throughout.
    int64_t at = packedRows ? row * rowBytes * perByte + column : row * width + column;
    int value = (p[at / perByte] >> (at % perByte * bits)) & ((1 << bits) - 1);
    return from.dtype() == DType::I4 && value >= 8 ? value - 16 : value;
  };
  Shape result(shape.begin(), shape.begin() + gatherAxis);
  result.insert(result.end(), indexTensor.shape().begin(), indexTensor.shape().end());
  result.insert(result.end(), shape.begin() + gatherAxis + 1, shape.end());
  Tensor output(DType::F32, result);
  int64_t outer = extent(shape, 0, gatherAxis), inner = extent(shape, gatherAxis + 1, rank);
  int64_t count = static_cast<int64_t>(indices.size()), length = shape[gatherAxis];
  int64_t width = shape.back(), scaleWidth = scaleShape.back();
  int64_t behind = extent(shape, blockAxis + 1, rank), blocks = scaleShape[blockAxis];
  for (int64_t &index : indices)
    index = index < 0 ? index + length : index;
  ThreadPool::global().parallelFor(outer * count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float *to = output.data<float>() + i * inner;
      int64_t index = indices[i % count];
      if (index < 0 || index >= length) { // defined to give zeros
        std::fill(to, to + inner, 0.0f);
        continue;
      }
      for (int64_t j = 0; j < inner; ++j) {
        int64_t at = (i / count * length + index) * inner + j;
        int64_t s =
            (at / behind / shape[blockAxis] * blocks + at / behind % shape[blockAxis] / block) *
                behind +
            at % behind;
        int value = element(data, at / width, at % width, data.dim(-1), width, bits, bytes);
        int zero = zeros   ? element(*zeros, s / scaleWidth, s % scaleWidth, zeroShape.back(),
                                     scaleWidth, bits, bytes)
                   : bytes ? 1 << (bits - 1)
                           : 0;
        to[j] = static_cast<float>(value - zero) * scales.data<float>()[s];
      }
    }
  });
  setReal(call, 0, output, call.in(2).dtype());
}

} // namespace

void registerQLinear(KernelTable &table) {
  table.add("com.microsoft", "QLinearAdd", runAdd);
  table.add("com.microsoft", "QLinearMul", runMul);
  table.add("com.microsoft", "QLinearSigmoid", runSigmoid);
  table.add("com.microsoft", "QLinearLeakyRelu", runLeakyRelu);
  table.add("com.microsoft", "QLinearSoftmax", runSoftmax);
  table.add("com.microsoft", "QLinearConcat", runConcat);
  table.add("com.microsoft", "QGemm", runQGemm);
  table.add("com.microsoft", "GatherBlockQuantized", runGather);
}

} // namespace uoe::rt
