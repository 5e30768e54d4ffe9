// MatMul, Gemm, com.microsoft.FusedMatMul.
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"

namespace uoe::rt {
namespace {

/// What MatMul and Gemm keep of a constant right-hand matrix.
struct PackedState {
  std::shared_ptr<const fast::PackedMatrix> packed;
  const void *source = nullptr;
};

/// The packed form of input 1 if that never changes, packed at the first run.
const fast::PackedMatrix *packedConstant(KernelCall &call, const Tensor &b, bool transposed,
                                         int64_t depth, int64_t columns) {
  const auto &constants = call.node.constants;
  if (constants.size() < 2 || !constants[1] || b.dtype() == DType::F64)
    return nullptr;
  auto *state = std::any_cast<PackedState>(&call.state);
  if (!state || state->source != constants[1]->raw()) {
    Tensor floats = castReal(b, DType::F32);
    PackedState fresh;
    fresh.packed = std::make_shared<fast::PackedMatrix>(
        fast::packExact(floats.data<float>(), depth, columns, transposed));
    fresh.source = constants[1]->raw();
    call.state = std::move(fresh);
    state = std::any_cast<PackedState>(&call.state);
  }
  return state->packed.get();
}

/// Exchanges rows and columns of each of `count` matrices.
template <typename T> Tensor transposeLast(const Tensor &tensor) {
  Shape shape = tensor.shape();
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  std::swap(shape[shape.size() - 2], shape.back());
  Tensor result(tensor.dtype(), shape);
  int64_t count = extent(shape, 0, shape.size() - 2);
  const T *from = tensor.data<T>();
  T *to = result.data<T>();
  for (int64_t m = 0; m < count; ++m)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        to[(m * columns + j) * rows + i] = from[(m * rows + i) * columns + j];
  return result;
}

/// The first axis becomes the last but one.
template <typename T> Tensor firstToRows(const Tensor &tensor) {
  if (tensor.rank() < 3)
    return tensor;
  Shape shape(tensor.shape().begin() + 1, tensor.shape().end());
  shape.insert(shape.end() - 1, tensor.dim(0));
  Tensor result(tensor.dtype(), shape);
  int64_t first = tensor.dim(0), columns = shape.back(),
          others = extent(tensor.shape(), 1, tensor.rank() - 1);
  for (int64_t i = 0; i < first; ++i)
    for (int64_t j = 0; j < others; ++j)
      std::copy_n(tensor.data<T>() + (i * others + j) * columns, columns,
                  result.data<T>() + (j * first + i) * columns);
  return result;
}

template <typename T>
void multiplyOne(const T *a, int64_t rows, const T *b, bool transposed, int64_t depth,
                 int64_t columns, T *c) {
  if constexpr (std::is_floating_point_v<T>)
    multiply(a, depth, rows, b, transposed ? depth : columns, transposed, depth, columns, c,
             columns);
  else
    multiplyIntegers(a, rows, b, depth, columns, c);
}

/// A·B by NumPy's rules. What `epilogue` asks for is done on the way where that is possible, and
/// then reset.
template <typename T>
Tensor matMul(KernelCall &call, const Tensor &a, const Tensor &b, bool transposeB,
              fast::Epilogue *epilogue = nullptr) {
  MatMulPlan p = planMatMul(call.node, a.shape(), b.shape(), transposeB && b.rank() > 1);
  transposeB = transposeB && b.rank() > 1;
  Tensor result(DTypeOf<T>::value, p.result);
  const T *left = a.data<T>(), *right = b.data<T>();
  T *out = result.data<T>();
  int64_t count = static_cast<int64_t>(p.aOffset.size());
  int64_t aSize = p.rows * p.depth, bSize = p.depth * p.columns, cSize = p.rows * p.columns;
  if (count * cSize == 0)
    return result;
  // One B for every matrix of A: a single tall product.
  bool sharedB = b.size() == bSize && a.size() == count * aSize;
  if (sharedB) {
    p.rows *= count;
    count = 1;
  }
  if constexpr (std::is_same_v<T, float>)
    if (sharedB)
      if (const fast::PackedMatrix *packed =
              packedConstant(call, call.in(1), transposeB, p.depth, p.columns)) {
        fast::gemm(left, p.depth, p.rows, *packed, out, p.columns,
                   epilogue ? *epilogue : fast::Epilogue());
        if (epilogue)
          *epilogue = {}; // done
        return result;
      }
  if (count == 1) {
    multiplyOne(left + p.aOffset[0] * aSize, p.rows, right + p.bOffset[0] * bSize, transposeB,
                p.depth, p.columns, out);
    return result;
  }
  if constexpr (std::is_same_v<T, float>) {
    std::vector<int64_t> cOffset(count);
    for (int64_t i = 0; i < count; ++i) {
      p.aOffset[i] *= aSize;
      p.bOffset[i] *= bSize;
      cOffset[i] = i * cSize;
    }
    fast::gemmBatched(count, {p.aOffset.data(), p.bOffset.data(), cOffset.data()}, p.rows,
                      p.columns, p.depth, left, p.depth, false, right,
                      transposeB ? p.depth : p.columns, transposeB, out, p.columns);
    return result;
  }
  auto range = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      multiplyOne(left + p.aOffset[i] * aSize, p.rows, right + p.bOffset[i] * bSize, transposeB,
                  p.depth, p.columns, out + i * cSize);
  };
  if (count < ThreadPool::global().threads())
    range(0, count);
  else
    ThreadPool::global().parallelFor(
        count, std::max<int64_t>(1, 100000 / std::max<int64_t>(1, 2 * cSize * p.depth)), range);
  return result;
}

bool constantRight(const KernelCall &call) {
  return call.node.constant(1) != nullptr;
}

void runMatMul(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  DType type = a.dtype();
  expectType(b, type, "MatMul: input 1");
  switch (type) {
  case DType::I32:
    return call.set(0, matMul<int32_t>(call, a, b, false));
  case DType::U32:
    return call.set(0, matMul<uint32_t>(call, a, b, false));
  case DType::I64:
    return call.set(0, matMul<int64_t>(call, a, b, false));
  case DType::U64:
    return call.set(0, matMul<uint64_t>(call, a, b, false));
  default:
    break;
  }
  withCompute(type, "MatMul: input 0", [&](auto zero) {
    using T = decltype(zero);
    // A constant half-precision matrix is packed as float once; it must not be converted at every
    // run.
    Tensor right =
        constantRight(call) && std::is_same_v<T, float> && b.rank() == 2 ? b : inputAs<T>(call, 1);
    setReal(call, 0, matMul<T>(call, inputAs<T>(call, 0), right, false), type);
  });
}

void runFusedMatMul(KernelCall &call) {
  const Tensor &a = call.in(0), &b = call.in(1);
  DType type = a.dtype();
  expectType(b, type, "FusedMatMul: input 1");
  const Node &node = call.node;
  withCompute(type, "FusedMatMul: input 0", [&](auto zero) {
    using T = decltype(zero);
    Tensor left = inputAs<T>(call, 0), right = inputAs<T>(call, 1);
    if (node.integer("transBatchA", 0))
      left = firstToRows<T>(left);
    if (node.integer("transBatchB", 0))
      right = firstToRows<T>(right);
    if (node.integer("transA", 0) && left.rank() > 1)
      left = transposeLast<T>(left);
    Tensor result = matMul<T>(call, left, right, node.integer("transB", 0));
    if (float alpha = node.real("alpha", 1.0f); alpha != 1.0f)
      vec::scale(result.data<T>(), static_cast<T>(alpha), result.size());
    setReal(call, 0, result, type);
  });
}

/// result = alpha·result + beta·C, with C broadcast to rows × columns.
template <typename T>
void addBias(const Node &node, T alpha, T beta, const Tensor *c, Tensor &result) {
  int64_t rows = result.dim(0), columns = result.dim(1);
  T *out = result.data<T>();
  if (!c) {
    if (alpha != T(1))
      for (int64_t i = 0; i < rows * columns; ++i)
        out[i] = static_cast<T>(alpha * out[i]);
    return;
  }
  check(c->rank() <= 2 && broadcastShape(node, c->shape(), result.shape()) == result.shape(),
        node.op, ": input C must broadcast to ", toString(result.shape()), ", found ",
        toString(c->shape()));
  auto strides = broadcastStrides(c->shape(), result.shape());
  const T *bias = c->data<T>();
  ThreadPool::global().parallelFor(
      rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns)),
      [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const T *from = bias + r * strides[0];
          T *row = out + r * columns;
          if (strides[1] && alpha == T(1) && beta == T(1))
            for (int64_t j = 0; j < columns; ++j)
              row[j] += from[j];
          else
            for (int64_t j = 0; j < columns; ++j)
              row[j] = static_cast<T>(alpha * row[j] + beta * from[j * strides[1]]);
        }
      });
}

template <typename T> Tensor gemm(KernelCall &call, Tensor a, Tensor b, const Tensor *c) {
  const Node &node = call.node;
  bool transposeA = node.integer("transA", 0), transposeB = node.integer("transB", 0);
  check(a.rank() == 2 && b.rank() == 2, "Gemm: A and B must be matrices, found shapes ",
        toString(a.shape()), " and ", toString(b.shape()));
  if (transposeA)
    a = transposeLast<T>(a);
  if (transposeB && !std::is_floating_point_v<T>) {
    b = transposeLast<T>(b);
    transposeB = false;
  }
  T alpha = static_cast<T>(node.real("alpha", 1.0f)),
    beta = static_cast<T>(node.real("beta", 1.0f));
  if constexpr (std::is_same_v<T, float>) {
    int64_t columns = transposeB ? b.dim(0) : b.dim(1);
    if (!c || (c->size() == columns && c->rank() > 0 && c->dim(-1) == columns && beta == 1.0f)) {
      fast::Epilogue epilogue;
      epilogue.alpha = alpha;
      epilogue.bias = c ? c->data<float>() : nullptr;
      Tensor result = matMul<T>(call, a, b, transposeB, &epilogue);
      if (epilogue.bias || epilogue.alpha != 1.0f)
        addBias<T>(node, alpha, beta, c, result);
      return result;
    }
  }
  Tensor result = matMul<T>(call, a, b, transposeB);
  addBias<T>(node, alpha, beta, c, result);
  return result;
}

template <typename T> void integerGemm(KernelCall &call) {
  call.set(0, gemm<T>(call, call.in(0), call.in(1), call.maybe(2)));
}

void runGemm(KernelCall &call) {
  DType type = call.in(0).dtype();
  expectType(call.in(1), type, "Gemm: input B");
  if (const Tensor *c = call.maybe(2))
    expectType(*c, type, "Gemm: input C");
  switch (type) {
  case DType::I32:
    return integerGemm<int32_t>(call);
  case DType::U32:
    return integerGemm<uint32_t>(call);
  case DType::I64:
    return integerGemm<int64_t>(call);
  case DType::U64:
    return integerGemm<uint64_t>(call);
  default:
    break;
  }
  withCompute(type, "Gemm: input A", [&](auto zero) {
    using T = decltype(zero);
    Tensor bias;
    if (call.has(2))
      bias = inputAs<T>(call, 2);
    Tensor right =
        constantRight(call) && std::is_same_v<T, float> ? call.in(1) : inputAs<T>(call, 1);
    setReal(call, 0, gemm<T>(call, inputAs<T>(call, 0), right, call.has(2) ? &bias : nullptr),
            type);
  });
}

} // namespace

void registerMatMul(KernelTable &table) {
  table.add("", "MatMul", runMatMul);
  table.add("", "Gemm", runGemm);
  table.add("com.microsoft", "FusedMatMul", runFusedMatMul);
  table.add("com.microsoft", "TransposeMatMul", runFusedMatMul);
}

} // namespace uoe::rt
