// Operators on 8-bit integers with scales, on a device.
#include "Quantize.h"
#include "Rows.h"
#include "Window.h"
#include "runtime/cpu/ops/Broadcast.h"
#include "runtime/cpu/ops/Dispatch.h"
#include "runtime/cuda/ops/Pointwise.h"
#include <cmath>

namespace uoe::rt::cuda {

namespace {

bool isByte(DType type) {
  return type == DType::U8 || type == DType::I8;
}

const void *pointerTo(const Tensor &tensor) {
  return tensor.dtype() == DType::None ? nullptr : tensor.raw();
}

/// Tensors that live until their launches are on the stream.
struct Held {
  Call &call;
  std::vector<Tensor> tensors = {};

  Tensor input(size_t i) {
    tensors.push_back(call.has(i) ? call.in(i) : Tensor());
    return tensors.back();
  }
  Tensor scratch(DType type, const Shape &shape, const char *what) {
    tensors.push_back(call.arena.allocate(type, shape, what));
    return tensors.back();
  }
};

/// The scales of input `scale` over x, and zero points of input `zero` if it has one. False for
/// shapes that do not fit.
bool scalesOf(Call &call, const Shape &x, size_t scale, size_t zero, Scales &s) {
  const Shape &shape = call.shape(scale);
  const int64_t block = call.node.integer("block_size", 0), count = elementCount(shape);
  if (!isDeviceFloat(call.type(scale)) || block < 0 ||
      (call.has(zero) && elementCount(call.shape(zero)) != count))
    return false;
  s.scaleType = call.type(scale);
  if (call.has(zero))
    s.zeroType = call.type(zero);
  if (count == 1 && block == 0)
    return true;
  if (x.empty())
    return false;
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", 1), int64_t(x.size())));
  s.one = false;
  s.inner = productOf(x, axis + 1, x.size());
  s.axisLength = x[axis];
  if (block == 0)
    return shape.size() <= 1 && count == x[axis];
  s.blockSize = block;
  s.blocks = (x[axis] + block - 1) / block;
  Shape expected = x;
  expected[axis] = s.blocks;
  return shape == expected;
}

/// Input 0 of shape x by the scales of input 1 and the zero points of input 2, if any, into output
/// 0.
void launchScaled(Call &call, const char *kernel, QuantizeCall &work, const Shape &x) {
  Held held{call};
  work.x = held.input(0).raw();
  work.scales.scale = held.input(1).raw();
  work.scales.zero = pointerTo(held.input(2));
  work.y = call.out(0, work.outType, x).raw();
  work.count = elementCount(x);
  call.each(kernel, work.count, work);
}

bool quantize(Call &call) {
  QuantizeCall work;
  work.outType =
      call.has(2) ? call.type(2) : static_cast<DType>(call.node.integer("output_dtype", 0));
  if (work.outType == DType::None)
    work.outType = DType::U8;
  work.type = call.type(0);
  const Shape x = call.shape(0);
  if ((!isDeviceFloat(work.type) && work.type != DType::I32) || !isByte(work.outType) ||
      !scalesOf(call, x, 1, 2, work.scales))
    return false;
  launchScaled(call, "quantize", work, x);
  return true;
}

bool dequantize(Call &call) {
  QuantizeCall work;
  const Shape x = call.shape(0);
  work.type = call.type(0);
  if ((!isByte(work.type) && work.type != DType::I32) || !call.has(1) ||
      (call.has(2) && call.type(2) != work.type) || !scalesOf(call, x, 1, 2, work.scales))
    return false;
  work.outType = static_cast<DType>(call.node.integer("output_dtype", 0));
  if (work.outType == DType::None)
    work.outType = work.scales.scaleType;
  if (!isDeviceFloat(work.outType))
    return false;
  launchScaled(call, "dequantize", work, x);
  return true;
}

/// x in 8 bits over its own range, with the scale and zero point that it takes.
void quantizeByRange(Call &call, const Tensor &x, Tensor &y, Tensor &scale, Tensor &zero) {
  RangeCall range;
  range.x = x.data<float>();
  range.count = x.size();
  range.parts = static_cast<int32_t>(std::min<int64_t>(1024, ceilDiv<int64_t>(x.size(), 1024)));
  range.parts = std::max(1, range.parts);
  Tensor parts = call.arena.allocate(DType::F32, {2, range.parts}, "the range of a tensor");
  range.low = parts.data<float>();
  range.high = range.low + range.parts;
  range.scale = scale.data<float>();
  range.zero = zero.data<uint8_t>();
  call.launch("range_parts", {static_cast<unsigned>(ceilDiv(range.parts, 8))}, 256, range);
  call.launch("range_scale", {1}, 32, range);
  QuantizeCall work;
  work.x = x.raw();
  work.y = y.raw();
  work.scales.scale = scale.raw();
  work.scales.zero = zero.raw();
  work.count = x.size();
  call.each("quantize", work.count, work);
}

bool dynamicQuantize(Call &call) {
  if (call.type(0) != DType::F32)
    return false;
  const Tensor x = call.in(0);
  Tensor y = call.out(0, DType::U8, x.shape()), scale = call.out(1, DType::F32, {}),
         zero = call.out(2, DType::U8, {});
  quantizeByRange(call, x, y, scale, zero);
  return true;
}

} // namespace

bool integerProduct(IntegerProductCall &work, const Tensor &a, const Tensor &b, const Tensor &aZero,
                    const Tensor &bZero, Shape &result) {
  if (!isByte(a.dtype()) || !isByte(b.dtype()) || a.rank() < 2 || b.rank() < 2)
    return false;
  int64_t m = a.dim(-2);
  const int64_t k = a.dim(-1), n = b.dim(-1), most = int64_t(1) << 30;
  if (b.dim(-2) != k || k >= 1 << 15 || n > most)
    return false;
  const Shape outerA(a.shape().begin(), a.shape().end() - 2),
      outerB(b.shape().begin(), b.shape().end() - 2);
  result = broadcastShapes(outerA, outerB);
  const BroadcastPlan<2> plan = planBroadcast<2>(result, {&outerA, &outerB});
  result.insert(result.end(), {m, n});
  auto zero = [&](const Tensor &t, const Tensor &of, int64_t lines, const void *&to, DType &type,
                  bool &each) {
    if (t.dtype() == DType::None)
      return true;
    to = t.raw();
    type = t.dtype();
    each = t.size() != 1;
    // Lines of several matrices are the CPU's.
    return isByte(type) && (!each || (t.size() == lines && of.rank() == 2));
  };
  if (plan.rank > kMostDims || !zero(aZero, a, m, work.aZero, work.aZeroType, work.aLines) ||
      !zero(bZero, b, n, work.bZero, work.bZeroType, work.bLines))
    return false;
  work.a = a.raw();
  work.b = b.raw();
  work.aType = a.dtype();
  work.bType = b.dtype();
  work.n = static_cast<int32_t>(n);
  work.k = static_cast<int32_t>(k);
  work.batches.count = plan.size;
  work.batches.rank = plan.rank;
  for (int d = 0; d < plan.rank; ++d) {
    work.batches.dims[d] = plan.dims[size_t(d)];
    work.batches.strides[0][d] = plan.strides[0][size_t(d)] * m * k;
    work.batches.strides[1][d] = plan.strides[1][size_t(d)] * k * n;
  }
  if (b.rank() == 2 && !work.aLines && !work.aTurned) { // all rows of a in one product
    m *= elementCount(outerA);
    work.batches = {};
    work.batches.count = work.batches.dims[0] = 1;
  }
  work.m = static_cast<int32_t>(m);
  return m <= most;
}

bool productScale(const Tensor &scale, int64_t lines, const float *&to, bool &each) {
  if (scale.dtype() != DType::F32 || (scale.size() != 1 && scale.size() != lines))
    return false;
  to = scale.data<float>();
  each = scale.size() != 1;
  return true;
}

void launch(Call &call, const IntegerProductCall &work) {
  const int64_t blocks = work.batches.count * ceilDiv<int64_t>(work.m, kIntegerTile) *
                         ceilDiv<int64_t>(work.n, kIntegerTile);
  if (blocks > 0)
    call.launch("integer_product", {static_cast<unsigned>(blocks)}, kIntegerThreads, work,
                sizeof(IntegerShared));
}

bool saturates(Call &call, DType a, DType b) {
  return call.node.integer("saturating", 0) != 0 && a == DType::U8 && b == DType::I8;
}

namespace {

bool matMulInteger(Call &call) {
  if (!isByte(call.type(0)) || !isByte(call.type(1)))
    return false;
  Held held{call};
  const Tensor a = held.input(0), b = held.input(1);
  IntegerProductCall work;
  Shape result;
  if (!integerProduct(work, a, b, held.input(2), held.input(3), result))
    return false;
  work.saturating = saturates(call, a.dtype(), b.dtype());
  work.y = call.out(0, DType::I32, result).raw();
  launch(call, work);
  return true;
}

/// Of a product whose result is a float tensor by scales.
bool realProduct(Call &call, IntegerProductCall &work, const Shape &result, const Tensor &aScale,
                 const Tensor &bScale, const Tensor &bias) {
  if (!productScale(aScale, work.m, work.aScale, work.aScales) ||
      !productScale(bScale, work.n, work.bScale, work.bScales) ||
      (bias.dtype() != DType::None && (bias.dtype() != DType::F32 || bias.size() != work.n)))
    return false;
  work.bias = static_cast<const float *>(pointerTo(bias));
  work.then = Sums32::Real;
  work.yType = DType::F32;
  work.y = call.out(0, DType::F32, result).raw();
  launch(call, work);
  return true;
}

// Inputs: A, B, A's scale, B's scale, A's zero point, B's zero point, bias.
bool matMulIntegerToFloat(Call &call) {
  if (!isByte(call.type(0)) || !isByte(call.type(1)) || call.type(2) != DType::F32)
    return false;
  Held held{call};
  const Tensor a = held.input(0), b = held.input(1);
  IntegerProductCall work;
  Shape result;
  if (!integerProduct(work, a, b, held.input(4), held.input(5), result))
    return false;
  work.saturating = saturates(call, a.dtype(), b.dtype());
  return realProduct(call, work, result, held.input(2), held.input(3), held.input(6));
}

// Inputs: A in float, B, B's scale, B's zero point, bias.
bool dynamicQuantizeMatMul(Call &call) {
  if (call.type(0) != DType::F32 || !isByte(call.type(1)))
    return false;
  Held held{call};
  const Tensor x = held.input(0), b = held.input(1);
  Tensor a = held.scratch(DType::U8, x.shape(), "an operand in 8 bits"),
         scale = held.scratch(DType::F32, {}, "its scale"),
         zero = held.scratch(DType::U8, {}, "its zero point");
  IntegerProductCall work;
  Shape result;
  if (!integerProduct(work, a, b, zero, held.input(3), result))
    return false;
  quantizeByRange(call, x, a, scale, zero);
  work.saturating = saturates(call, a.dtype(), b.dtype());
  return realProduct(call, work, result, scale, held.input(2), held.input(4));
}

bool isNumber(Call &call, size_t i, DType type) {
  return call.has(i) && call.type(i) == type && elementCount(call.shape(i)) == 1;
}

// Inputs: A, its scale and zero point, B, its scale and zero point, the result's.
bool qLinearMatMul(Call &call) {
  if (call.count() < 8 || !isByte(call.type(0)) || !isByte(call.type(3)) ||
      !isNumber(call, 6, DType::F32) || !isByte(call.type(7)) || !isNumber(call, 7, call.type(7)))
    return false;
  Held held{call};
  const Tensor a = held.input(0), b = held.input(3);
  IntegerProductCall work;
  Shape result;
  if (!integerProduct(work, a, b, held.input(2), held.input(5), result) ||
      !productScale(held.input(1), work.m, work.aScale, work.aScales) ||
      !productScale(held.input(4), work.n, work.bScale, work.bScales))
    return false;
  work.saturating = saturates(call, a.dtype(), b.dtype());
  work.then = Sums32::Quantise;
  work.yScale = held.input(6).data<float>();
  work.yZero = held.input(7).raw();
  work.yType = call.type(7);
  work.y = call.out(0, work.yType, result).raw();
  launch(call, work);
  return true;
}

// Inputs: A, its scale and zero point, B, its scale and zero point, C?, the result's scale and zero
// point; without them the result is float.
bool qGemm(Call &call) {
  const Node &node = call.node;
  if (call.count() < 6 || !isByte(call.type(0)) || !isByte(call.type(3)) ||
      call.shape(0).size() != 2 || call.shape(3).size() != 2 ||
      (call.has(6) && call.type(6) != DType::I32) ||
      (call.has(7) &&
       (!isNumber(call, 7, DType::F32) ||
        (call.has(8) && (!isByte(call.type(8)) || !isNumber(call, 8, call.type(8)))))))
    return false;
  Held held{call};
  Tensor a = held.input(0), b = held.input(3);
  IntegerProductCall work;
  work.aTurned = node.integer("transA", 0) != 0;
  work.bTurned = node.integer("transB", 0) != 0;
  auto turned = [](const Tensor &t, bool turn) {
    return turn ? t.reshaped({t.dim(1), t.dim(0)}) : t;
  };
  Shape result;
  if (!integerProduct(work, turned(a, work.aTurned), turned(b, work.bTurned), held.input(2),
                      held.input(5), result) ||
      !productScale(held.input(1), 1, work.aScale, work.aScales) ||
      !productScale(held.input(4), work.n, work.bScale, work.bScales))
    return false;
  if (call.has(6)) {
    Shape c = call.shape(6);
    while (c.size() < 2)
      c.insert(c.begin(), 1);
    if (c.size() != 2 || (c[0] != 1 && c[0] != work.m) || (c[1] != 1 && c[1] != work.n))
      return false;
    work.c = held.input(6).data<int32_t>();
    work.cRow = c[0] == 1 ? 0 : c[1];
    work.cColumn = c[1] == 1 ? 0 : 1;
  }
  work.saturating = saturates(call, a.dtype(), b.dtype());
  work.then = Sums32::Gemm;
  work.alpha = node.real("alpha", 1);
  work.yType = DType::F32;
  if (call.has(7)) {
    work.yScale = held.input(7).data<float>();
    work.yType = call.has(8) ? call.type(8) : a.dtype();
    work.yZero = pointerTo(held.input(8));
  }
  work.y = call.out(0, work.yType, result).raw();
  launch(call, work);
  return true;
}

/// W times the windows of x: operands a and b of an integer product. Padding is x's zero point.
/// False for what is left to the CPU.
bool integerConv(Call &call, Held &held, size_t x, size_t weights, size_t xZero, size_t wZero,
                 IntegerProductCall &work, Convolution &c) {
  // Pairs that saturate lie in another order.
  if (!isByte(call.type(x)) || !isByte(call.type(weights)) ||
      call.node.integer("saturating", 0) != 0 ||
      !convolutionOf(call.node, call.shape(x), call.shape(weights), c) || c.taps >= 1 << 15 ||
      (call.has(xZero) && !isNumber(call, xZero, call.type(x))) ||
      (call.has(wZero) &&
       (!isByte(call.type(wZero)) ||
        (elementCount(call.shape(wZero)) != 1 && elementCount(call.shape(wZero)) != c.filters))))
    return false;
  const Tensor in = held.input(x), zero = held.input(xZero), filters = held.input(weights),
               filterZero = held.input(wZero);
  const Tensor windows = layOut(call, c, in, /*tapsInnermost=*/false, 0, c.batch, zero);
  held.tensors.push_back(windows);
  work.a = filters.raw();
  work.b = windows.raw();
  work.aType = filters.dtype();
  work.bType = in.dtype();
  work.m = static_cast<int32_t>(c.groupFilters());
  work.n = static_cast<int32_t>(c.positions);
  work.k = static_cast<int32_t>(c.taps);
  work.groups = static_cast<int32_t>(c.groups);
  if (filterZero.dtype() != DType::None) {
    work.aZero = filterZero.raw();
    work.aZeroType = filterZero.dtype();
    work.aLines = filterZero.size() != 1;
  }
  work.bZero = pointerTo(zero);
  work.bZeroType = in.dtype();
  work.batches.count = c.batch * c.groups;
  work.batches.rank = 2;
  const int64_t matrix = int64_t(work.n) * work.k;
  const int64_t loops[2][3] = {{c.batch, 0, c.groups * matrix},
                               {c.groups, int64_t(work.m) * work.k, matrix}};
  for (int d = 0; d < 2; ++d) {
    work.batches.dims[d] = loops[d][0];
    work.batches.strides[0][d] = loops[d][1];
    work.batches.strides[1][d] = loops[d][2];
  }
  return true;
}

// Inputs: x, w, x's zero point, w's zero point.
bool convInteger(Call &call) {
  Held held{call};
  IntegerProductCall work;
  Convolution c;
  if (!integerConv(call, held, 0, 1, 2, 3, work, c))
    return false;
  work.y = call.out(0, DType::I32, c.result).raw();
  launch(call, work);
  return true;
}

// Inputs: x, its scale and zero point, w, its scale and zero point, y's, bias (int32).
bool qLinearConv(Call &call) {
  Held held{call};
  IntegerProductCall work;
  Convolution c;
  if (call.count() < 8 || !isNumber(call, 1, DType::F32) || !isNumber(call, 6, DType::F32) ||
      !isByte(call.type(7)) || !isNumber(call, 7, call.type(7)) ||
      (call.has(8) && call.type(8) != DType::I32) ||
      !integerConv(call, held, 0, 3, 2, 5, work, c) ||
      (call.has(8) && elementCount(call.shape(8)) != c.filters) ||
      !productScale(held.input(4), c.filters, work.aScale, work.aScales))
    return false;
  work.bScale = held.input(1).data<float>();
  if (call.has(8)) {
    work.c = held.input(8).data<int32_t>();
    work.cRow = 1;
  }
  work.then = Sums32::Quantise;
  work.yScale = held.input(6).data<float>();
  work.yZero = held.input(7).raw();
  work.yType = call.type(7);
  work.y = call.out(0, work.yType, c.result).raw();
  launch(call, work);
  return true;
}

/// Input i, with one scale and zero point behind it, as floats; None for what is not covered.
Tensor realOf(Call &call, Held &held, size_t i) {
  if (!call.has(i) || !isByte(call.type(i)) || !isNumber(call, i + 1, DType::F32) ||
      (call.has(i + 2) && !isNumber(call, i + 2, call.type(i))))
    return {};
  QuantizeCall work;
  work.type = work.scales.zeroType = call.type(i);
  work.outType = DType::F32;
  work.x = held.input(i).raw();
  work.scales.scale = held.input(i + 1).raw();
  work.scales.zero = pointerTo(held.input(i + 2));
  const Tensor y = held.scratch(DType::F32, call.shape(i), "8-bit numbers as floats");
  work.y = const_cast<void *>(y.raw());
  work.count = y.size();
  call.each("dequantize", work.count, work);
  return y;
}

/// Whether the result's scale and zero point are inputs `scale` and the next.
bool hasResultScale(Call &call, size_t scale) {
  return isNumber(call, scale, DType::F32) &&
         (!call.has(scale + 1) ||
          (isByte(call.type(scale + 1)) && isNumber(call, scale + 1, call.type(scale + 1))));
}

/// The one result: `real` by the scale and zero point of inputs `scale` and the next.
void quantizeResult(Call &call, Held &held, const Tensor &real, size_t scale, DType type,
                    float factor = 0) {
  QuantizeCall work;
  work.x = real.raw();
  work.outType = work.scales.zeroType = call.has(scale + 1) ? call.type(scale + 1) : type;
  work.scales.scale = held.input(scale).raw();
  work.scales.zero = pointerTo(held.input(scale + 1));
  work.factor = factor;
  work.y = call.out(0, work.outType, real.shape()).raw();
  work.count = real.size();
  call.each("quantize", work.count, work);
}

// Inputs: A, its scale and zero point, B, its scale and zero point, the result's.
template <Point point> bool qLinearBinary(Call &call) {
  if (!hasResultScale(call, 6))
    return false;
  Held held{call};
  const Tensor a = realOf(call, held, 0), b = realOf(call, held, 3);
  if (a.dtype() == DType::None || b.dtype() == DType::None)
    return false;
  PointwiseCall work;
  work.op = point;
  work.operands = 2;
  const Shape shape = broadcastShapes(a.shape(), b.shape());
  const BroadcastPlan<2> plan = planBroadcast<2>(shape, {&a.shape(), &b.shape()});
  if (plan.rank > kMostDims)
    return false;
  work.loops.count = plan.size;
  work.loops.rank = plan.rank;
  for (int d = 0; d < plan.rank; ++d) {
    work.loops.dims[d] = plan.dims[size_t(d)];
    for (size_t k = 0; k < 2; ++k)
      work.loops.strides[k][d] = plan.strides[k][size_t(d)];
  }
  work.types[0] = work.types[1] = DType::F32;
  work.in[0] = a.raw();
  work.in[1] = b.raw();
  const Tensor y = held.scratch(DType::F32, shape, "a result before it is quantised");
  work.out = const_cast<void *>(y.raw());
  call.each("pointwise_real", y.size(), work);
  quantizeResult(call, held, y, 6, call.type(0));
  return true;
}

// Inputs: x, its scale and zero point, the result's.
template <Point point> bool qLinearUnary(Call &call) {
  if (!hasResultScale(call, 3))
    return false;
  Held held{call};
  const Tensor x = realOf(call, held, 0);
  if (x.dtype() == DType::None)
    return false;
  PointwiseCall work;
  work.op = point;
  work.alpha = call.node.real("alpha", 0.01f);
  work.types[0] = DType::F32;
  work.in[0] = x.raw();
  work.out = const_cast<void *>(x.raw()); // element by element
  work.loops.count = work.loops.dims[0] = x.size();
  work.loops.strides[0][0] = 1;
  call.each("pointwise_real", x.size(), work);
  quantizeResult(call, held, x, 3, call.type(0));
  return true;
}

bool qLinearSoftmax(Call &call) {
  const Shape shape = call.shape(0);
  if (shape.empty() || !hasResultScale(call, 3))
    return false;
  const int64_t rank = int64_t(shape.size());
  const auto axis = static_cast<size_t>(axisIn(call.node.integer("axis", -1), rank));
  if (call.node.integer("opset", 13) >= 13 && int64_t(axis) != rank - 1)
    return false;
  // ONNX Runtime, whose operator this is, counts in units of 1 / floor(1 / scale).
  const float perUnit =
      std::floor(1.0f / static_cast<float>(toDouble(call.host(3), "the result's scale")));
  Held held{call};
  const Tensor x = realOf(call, held, 0);
  if (x.dtype() == DType::None)
    return false;
  RowCall work;
  work.op = RowOp::Softmax;
  work.n = productOf(shape, axis, shape.size());
  work.rows = productOf(shape, 0, axis);
  work.x = x.raw();
  const Tensor y = held.scratch(DType::F32, shape, "a softmax before it is quantised");
  work.y = const_cast<void *>(y.raw());
  if (y.size() > 0)
    launchRows(call, work);
  quantizeResult(call, held, y, 3, call.type(0), perUnit);
  return true;
}

} // namespace

void addQuantized(DeviceKernels &table) {
  for (const char *domain : {"", "com.microsoft"}) {
    table[{domain, "QuantizeLinear"}] = quantize;
    table[{domain, "DequantizeLinear"}] = dequantize;
  }
  table[{"", "DynamicQuantizeLinear"}] = dynamicQuantize;
  table[{"", "MatMulInteger"}] = matMulInteger;
  table[{"", "QLinearMatMul"}] = qLinearMatMul;
  table[{"", "ConvInteger"}] = convInteger;
  table[{"", "QLinearConv"}] = qLinearConv;
  const char *const ms = "com.microsoft";
  table[{ms, "MatMulIntegerToFloat"}] = matMulIntegerToFloat;
  table[{ms, "DynamicQuantizeMatMul"}] = dynamicQuantizeMatMul;
  table[{ms, "QGemm"}] = qGemm;
  table[{ms, "QLinearAdd"}] = qLinearBinary<Point::Add>;
  table[{ms, "QLinearMul"}] = qLinearBinary<Point::Mul>;
  table[{ms, "QLinearSigmoid"}] = qLinearUnary<Point::Sigmoid>;
  table[{ms, "QLinearLeakyRelu"}] = qLinearUnary<Point::LeakyRelu>;
  table[{ms, "QLinearSoftmax"}] = qLinearSoftmax;
}

} // namespace uoe::rt::cuda
