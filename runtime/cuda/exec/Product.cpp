// Matrix products, linear layers and feed-forward blocks on a device.
#include "Product.h"
#include "Rows.h"
#include "Weights.h"
#include "runtime/cpu/ops/Broadcast.h"
#include "runtime/cuda/ops/Bits.h"
#include "runtime/cuda/ops/Copy.h"
#include <cmath>

namespace uoe::rt::cuda {
namespace {

template <typename T, typename W = T>
void launchAs(Call &call, const Product &product, const char *suffix) {
  using P = ProductTile<T>;
  ProductCall<T, W> work;
  auto pointer = [](const Tensor &tensor) {
    return tensor.dtype() == DType::None ? nullptr : static_cast<const T *>(tensor.raw());
  };
  work.a = pointer(product.a);
  work.b = static_cast<const W *>(product.b.raw());
  work.bias = pointer(product.bias);
  work.residual = pointer(product.residual);
  work.rowBias = pointer(product.rowBias);
  work.rowBatches = product.rowBatches;
  work.y = const_cast<T *>(pointer(product.y));
  work.m = static_cast<int32_t>(product.m);
  work.n = static_cast<int32_t>(product.n);
  work.k = static_cast<int32_t>(product.k);
  work.gated = product.gated;
  work.act = product.act;
  work.cut = product.cut;
  work.scale = product.scale;
  work.batches = product.batches;
  // Buffers begin at multiples of 256 bytes, and matrices within one are whole rows apart.
  work.copies = product.k % P::perCopy == 0;
  const int64_t batches = product.batches.count;
  if (batches * product.m * product.n == 0)
    return;
  if (product.m <= kFewRows) {
    const int64_t warps = batches * ((product.n + 1) / 2);
    call.launch(("few_rows_" + std::string(suffix)).c_str(),
                {static_cast<unsigned>((warps + 7) / 8)}, 256, work);
    return;
  }
  const int64_t tiles =
      batches * ceilDiv<int64_t>(product.m, P::height) * ceilDiv<int64_t>(product.n, P::width);
  call.launch(("product_" + std::string(suffix)).c_str(), {static_cast<unsigned>(tiles)},
              P::threads, work, sizeof(typename P::Shared));
}

} // namespace

void launch(Call &call, const Product &product) {
  switch (product.a.dtype()) {
  case DType::F32:
    if (product.b.dtype() == DType::BF16)
      return launchAs<float, BF16>(call, product, "f32_bf16");
    if (product.b.dtype() == DType::F16)
      return launchAs<float, F16>(call, product, "f32_f16");
    return launchAs<float>(call, product, "f32");
  case DType::F16:
    return launchAs<F16>(call, product, "f16");
  default:
    return launchAs<BF16>(call, product, "bf16");
  }
}

Tensor weightRows(Call &call, size_t i, bool transposed) {
  if (!call.state.has_value()) {
    const Tensor &matrix = *call.constant(i);
    Tensor rows(matrix.dtype(), {matrix.dim(transposed ? 0 : 1), matrix.dim(transposed ? 1 : 0)});
    placeRows(matrix, transposed, rows, 0, 1);
    call.state = call.upload(narrowed(rows));
  }
  return std::any_cast<Tensor>(call.state);
}

namespace {

bool matMul(Call &call) {
  const Shape a = call.shape(0), b = call.shape(1);
  if (!isDeviceFloat(call.type(0)) || call.type(1) != call.type(0) || a.size() < 2 || b.size() < 2)
    return false;
  Product product;
  product.m = a[a.size() - 2];
  product.k = a.back();
  product.n = b.back();
  if (b[b.size() - 2] != product.k || product.k > kMost || product.n > kMost)
    return false;
  const Shape outerA(a.begin(), a.end() - 2), outerB(b.begin(), b.end() - 2);
  Shape dims = broadcastShapes(outerA, outerB);
  const BroadcastPlan<2> plan = planBroadcast<2>(dims, {&outerA, &outerB});
  if (plan.rank > kMostDims)
    return false;
  const bool oneMatrix = b.size() == 2;
  if (oneMatrix) // all rows of a in one product
    product.m *= elementCount(outerA);
  if (product.m > kMost)
    return false;
  if (!oneMatrix) {
    product.batches.count = plan.size;
    product.batches.rank = plan.rank;
    for (int d = 0; d < plan.rank; ++d) {
      product.batches.dims[d] = plan.dims[size_t(d)];
      product.batches.strides[0][d] = plan.strides[0][size_t(d)] * product.m * product.k;
      product.batches.strides[1][d] = plan.strides[1][size_t(d)] * product.n * product.k;
    }
  }
  product.a = call.in(0);
  if (oneMatrix && call.constant(1)) {
    product.b = weightRows(call, 1, false);
  } else {
    // [.., k, n] to [.., n, k].
    const Tensor in = call.in(1);
    Shape turned = outerB;
    turned.insert(turned.end(), {product.n, product.k});
    product.b = call.arena.allocate(in.dtype(), turned, "a transposed operand");
    CopyCall copy;
    copy.from = in.raw();
    copy.to = product.b.raw();
    copy.bytes = bitsOf(in.dtype()) / 8;
    const int64_t matrices = elementCount(outerB), size = product.n * product.k;
    setLoops(copy.loops,
             {{matrices, size, size}, {product.n, 1, product.k}, {product.k, product.n, 1}});
    call.each("copy", copy.loops.count, copy);
  }
  dims.insert(dims.end(), {a[a.size() - 2], product.n});
  product.y = call.out(0, call.type(0), dims);
  launch(call, product);
  return true;
}

// alpha A B + C, with a constant B and C a row of the result or absent.
bool gemm(Call &call) {
  const Node &node = call.node;
  const Tensor *b = call.constant(1);
  const Shape a = call.shape(0);
  if (!b || !isDeviceFloat(call.type(0)) || b->dtype() != call.type(0) || a.size() != 2 ||
      b->rank() != 2 || node.integer("transA", 0))
    return false;
  const bool transposed = node.integer("transB", 0) != 0;
  Product product;
  product.m = a[0];
  product.k = b->dim(transposed ? 1 : 0);
  product.n = b->dim(transposed ? 0 : 1);
  product.scale = node.real("alpha", 1);
  if (a[1] != product.k || product.k > kMost || product.n > kMost || product.m > kMost)
    return false;
  if (call.has(2)) {
    const Shape c = call.shape(2);
    if (node.real("beta", 1) != 1 || call.type(2) != call.type(0) || c.empty() ||
        c.back() != product.n || elementCount(c) != product.n)
      return false;
    product.bias = call.in(2);
  }
  product.a = call.in(0);
  product.b = weightRows(call, 1, transposed);
  product.y = call.out(0, call.type(0), {product.m, product.n});
  launch(call, product);
  return true;
}

bool isRowOf(Call &call, size_t i, int64_t n) {
  return call.type(i) == DType::F32 && elementCount(call.shape(i)) == n;
}

/// Rows of x [.., k]; -1 if they do not fit.
int64_t rowsOfInput(Call &call, int64_t k) {
  const Shape &x = call.shape(0);
  if (call.type(0) != DType::F32 || x.empty() || x.back() != k || k > kMost)
    return -1;
  const int64_t rows = elementCount(Shape(x.begin(), x.end() - 1));
  return rows <= kMost ? rows : -1;
}

// x [.., k], W [k, n], b [n]?, residual [.., n]?
bool linear(Call &call) {
  const Tensor *w = call.constant(1);
  if (!w || w->dtype() != DType::F32 || w->rank() != 2)
    return false;
  const bool transposed = (call.node.integer("transposed", 0) >> 1) & 1;
  Product product;
  product.k = w->dim(transposed ? 1 : 0);
  product.n = w->dim(transposed ? 0 : 1);
  product.m = rowsOfInput(call, product.k);
  if (product.m < 0 || product.n > kMost || (call.has(2) && !isRowOf(call, 2, product.n)))
    return false;
  Shape dims = call.shape(0);
  dims.back() = product.n;
  if (call.has(3) && (call.type(3) != DType::F32 || call.shape(3) != dims))
    return false;
  product.a = call.in(0);
  product.b = weightRows(call, 1, transposed);
  if (call.has(2))
    product.bias = call.in(2);
  if (call.has(3))
    product.residual = call.in(3);
  product.y = call.out(0, DType::F32, dims);
  launch(call, product);
  return true;
}

// com.microsoft MatMulNBits in float: A, B, scales, zero points?, g_idx?, bias?. The codes stay as
// they are; more than a few rows take the weights as floats for the time of the product.
bool matMulBits(Call &call) {
  const Node &node = call.node;
  if (call.type(0) != DType::F32 || call.shape(0).empty() || !call.has(1) ||
      call.type(1) != DType::U8 || !call.has(2) || call.type(2) != DType::F32 || call.has(4) ||
      (call.has(3) && call.type(3) != DType::U8 && call.type(3) != DType::F32) ||
      (call.has(5) && call.type(5) != DType::F32))
    return false;
  const int64_t n = node.integer("N", 0), k = node.integer("K", 0), bits = node.integer("bits", 4),
                block = node.integer("block_size", 0);
  if (n <= 0 || k <= 0 || n > kMost || k > kMost || (bits != 2 && bits != 4 && bits != 8) ||
      block < 16 || block > kMost || (block & (block - 1)) != 0 || call.shape(0).back() != k)
    return false;
  const int64_t blocks = ceilDiv(k, block), rows = elementCount(call.shape(0)) / k;
  const int64_t zeros = !call.has(3)                ? 0
                        : call.type(3) == DType::U8 ? n * ((blocks * bits + 7) / 8)
                                                    : n * blocks;
  if (elementCount(call.shape(1)) != n * blocks * block * bits / 8 ||
      elementCount(call.shape(2)) != n * blocks ||
      (call.has(3) && elementCount(call.shape(3)) != zeros) ||
      (call.has(5) && elementCount(call.shape(5)) != n) || rows > kMost)
    return false;
  BitsCall work;
  BitsWeights &w = work.weights;
  w.n = static_cast<int32_t>(n);
  w.k = static_cast<int32_t>(k);
  w.blockSize = static_cast<int32_t>(block);
  w.blocks = static_cast<int32_t>(blocks);
  w.bits = static_cast<int32_t>(bits);
  work.m = static_cast<int32_t>(rows);
  Tensor x = call.in(0);
  const Tensor codes = call.in(1), scales = call.in(2), zero = call.has(3) ? call.in(3) : Tensor(),
               bias = call.has(5) ? call.in(5) : Tensor();
  w.codes = static_cast<const uint32_t *>(codes.raw());
  w.scales = scales.data<float>();
  if (zero.dtype() == DType::U8)
    w.zeroPacked = zero.data<uint8_t>();
  else if (zero.dtype() == DType::F32)
    w.zeroFloats = zero.data<float>();
  work.bias = bias.dtype() == DType::None ? nullptr : bias.data<float>();
  if (node.integer("accuracy_level", 0) == 4 && bits == 4 && !w.zeroFloats && block <= 256) {
    const Tensor rounded = call.arena.allocate(DType::F32, x.shape(), "a rounded operand");
    work.x = x.data<float>();
    work.y = const_cast<float *>(rounded.data<float>());
    call.each("round_blocks", rows * blocks, work);
    x = rounded;
  }
  work.x = x.data<float>();
  Shape dims = x.shape();
  dims.back() = n;
  Tensor y = call.out(0, DType::F32, dims);
  if (rows == 0)
    return true;
  if (rows <= kBitsRows) {
    work.y = y.data<float>();
    call.launch("bits_rows", {static_cast<unsigned>((n + 7) / 8)}, 256, work);
    return true;
  }
  Tensor floats = call.arena.allocate(DType::F32, {n, k}, "weights as floats");
  work.y = floats.data<float>();
  call.each("bits_to_floats", n * w.wordsPerRow(), work);
  Product product;
  product.a = x;
  product.b = floats;
  product.bias = bias;
  product.y = y;
  product.m = rows;
  product.n = n;
  product.k = k;
  launch(call, product);
  return true;
}

struct CosineWeights {
  Tensor project, experts; // rows, on the device; the first may be None
};

// Cosines of x P, or x, with the columns of E: both made of length 1, or left zero.
bool cosine(Call &call) {
  const Tensor *p = call.constant(1), *e = call.constant(2);
  if (!e || e->dtype() != DType::F32 || e->rank() != 2 ||
      (call.has(1) && (!p || p->dtype() != DType::F32 || p->rank() != 2)))
    return false;
  const bool transposed = p && ((call.node.integer("transposed", 0) >> 1) & 1);
  const int64_t depth = e->dim(0), n = e->dim(1);
  const int64_t in = p ? p->dim(transposed ? 1 : 0) : depth;
  const int64_t rows = rowsOfInput(call, in);
  if (rows < 0 || n > kMost || (p && p->dim(transposed ? 0 : 1) != depth))
    return false;
  if (!call.state.has_value()) {
    CosineWeights weights;
    Tensor units(DType::F32, {n, depth});
    placeRows(*e, false, units, 0, 1);
    for (int64_t j = 0; j < n; ++j) {
      float *row = units.data<float>() + j * depth;
      double sum = 0;
      for (int64_t i = 0; i < depth; ++i)
        sum += double(row[i]) * double(row[i]);
      const auto scale = static_cast<float>(sum == 0 ? 0 : 1 / std::sqrt(sum));
      for (int64_t i = 0; i < depth; ++i)
        row[i] *= scale;
    }
    Tensor project;
    if (p) {
      project = Tensor(DType::F32, {depth, in});
      placeRows(*p, transposed, project, 0, 1);
      weights.project = call.upload(narrowed(project));
    }
    weights.experts = call.upload(units);
    call.device.synchronize("copying weights to the device"); // their copies here go
    call.state = weights;
  }
  const auto &weights = std::any_cast<const CosineWeights &>(call.state);
  Product last;
  last.a = call.in(0);
  last.m = rows;
  if (p) {
    Product first;
    first.a = last.a;
    first.b = weights.project;
    first.m = rows;
    first.n = depth;
    first.k = in;
    first.y = last.a = call.arena.allocate(DType::F32, {rows, depth}, "projected rows");
    launch(call, first);
  }
  RowCall unit;
  unit.op = RowOp::Unit;
  unit.rows = rows;
  unit.n = depth;
  unit.x = last.a.raw();
  last.a = call.arena.allocate(DType::F32, {rows, depth}, "rows of length 1");
  unit.y = const_cast<void *>(last.a.raw());
  launchRows(call, unit);
  last.b = weights.experts;
  last.n = n;
  last.k = depth;
  Shape dims = call.shape(0);
  dims.back() = n;
  last.y = call.out(0, DType::F32, dims);
  launch(call, last);
  return true;
}

struct FfnWeights {
  Tensor inner, innerBias, outer; // on the device
};

// x, up, gate?, down, bias_up?, bias_gate?, bias_down?: all but x constant.
bool ffn(Call &call) {
  const Tensor *up = call.constant(1), *gate = call.constant(2), *down = call.constant(3);
  for (size_t i = 1; i < call.count(); ++i)
    if (call.has(i) && (!call.constant(i) || call.type(i) != DType::F32))
      return false;
  if (!up || !down || up->rank() != 2 || down->rank() != 2 ||
      ((call.node.has("limit") || call.node.has("up_offset")) && !gate))
    return false;
  const int64_t bits = call.node.integer("transposed", 0);
  auto transposed = [&](int i) { return ((bits >> i) & 1) != 0; };
  const int64_t in = up->dim(transposed(1) ? 1 : 0), hidden = up->dim(transposed(1) ? 0 : 1);
  const int64_t out = down->dim(transposed(3) ? 0 : 1);
  const int64_t rows = rowsOfInput(call, in);
  const int64_t per = gate ? 2 : 1;
  if (rows < 0 || hidden * per > kMost || out > kMost ||
      down->dim(transposed(3) ? 1 : 0) != hidden ||
      (gate && (gate->rank() != 2 || gate->dim(transposed(2) ? 1 : 0) != in ||
                gate->dim(transposed(2) ? 0 : 1) != hidden)))
    return false;
  const Tensor *upBias = call.constant(4), *gateBias = call.constant(5);
  if ((upBias && upBias->size() != hidden) || (gateBias && gateBias->size() != hidden) ||
      (call.has(6) && !isRowOf(call, 6, out)))
    return false;
  if (!call.state.has_value()) {
    FfnWeights weights;
    Tensor outer(DType::F32, {out, hidden});
    placeRows(*down, transposed(3), outer, 0, 1);
    weights.inner = call.upload(narrowed(innerRows(*up, transposed(1), gate, transposed(2))));
    weights.outer = call.upload(narrowed(outer));
    if (upBias || gateBias)
      weights.innerBias = call.upload(innerBias(upBias, gateBias, gate != nullptr, hidden));
    call.state = weights;
  }
  const auto &weights = std::any_cast<const FfnWeights &>(call.state);
  Product first, second;
  first.a = call.in(0);
  first.b = weights.inner;
  first.bias = weights.innerBias;
  first.m = second.m = rows;
  first.n = hidden * per;
  first.k = in;
  first.gated = gate != nullptr;
  first.act = deviceActivation(call.node);
  first.cut = deviceCut(call.node);
  first.y = call.arena.allocate(DType::F32, {rows, hidden}, "the hidden units");
  second.a = first.y;
  second.b = weights.outer;
  if (call.has(6))
    second.bias = call.in(6);
  second.n = out;
  second.k = hidden;
  Shape dims = call.shape(0);
  dims.back() = out;
  second.y = call.out(0, DType::F32, dims);
  launch(call, first);
  launch(call, second);
  return true;
}

} // namespace

void addProducts(DeviceKernels &table) {
  table[{"", "MatMul"}] = matMul;
  table[{"", "Gemm"}] = gemm;
  table[{"com.microsoft", "MatMulNBits"}] = matMulBits;
  table[{"uoe", "Linear"}] = linear;
  table[{"uoe", "Ffn"}] = ffn;
  table[{"uoe", "Cosine"}] = cosine;
}

} // namespace uoe::rt::cuda
