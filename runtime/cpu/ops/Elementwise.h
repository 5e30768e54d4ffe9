// The element-wise engines that the operator files share.
#pragma once
#include "Broadcast.h"
#include "SmallFloat.h"
#include "real/RealLoops.h"

namespace uoe::rt {

/// The three forms of a loop over two operands.
template <typename In, typename Out> struct BinaryLoops {
  using Loop = void (*)(const In *, const In *, Out *, int64_t);
  Loop both, leftOnly, rightOnly;
  void operator()(const In *x, int64_t xStride, const In *y, int64_t yStride, Out *z,
                  int64_t n) const {
    (xStride && yStride ? both : xStride ? leftOnly : rightOnly)(x, y, z, n);
  }
};

template <typename Op, typename In, typename Out>
void bothOperands(const In *x, const In *y, Out *z, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    z[i] = Op::apply(x[i], y[i]);
}
template <typename Op, typename In, typename Out>
void leftOperand(const In *x, const In *y, Out *z, int64_t n) {
  In single = *y;
  for (int64_t i = 0; i < n; ++i)
    z[i] = Op::apply(x[i], single);
}
template <typename Op, typename In, typename Out>
void rightOperand(const In *x, const In *y, Out *z, int64_t n) {
  In single = *x;
  for (int64_t i = 0; i < n; ++i)
    z[i] = Op::apply(single, y[i]);
}
template <typename Op, typename In, typename Out> BinaryLoops<In, Out> loopsFor() {
  return {&bothOperands<Op, In, Out>, &leftOperand<Op, In, Out>, &rightOperand<Op, In, Out>};
}

/// z = f(x, y) over broadcast operands. `loop(x, xStride, y, yStride, z, n)` has strides of 0 or 1,
/// not both 0 unless n is 1.
template <typename In, typename Out, typename Loop>
void runBinary(const Tensor &a, const Tensor &b, Tensor &result, int64_t grain, const Loop &loop) {
  const In *x = a.data<In>(), *y = b.data<In>();
  Out *z = result.data<Out>();
  int64_t n = result.size();
  int64_t xStride = a.size() != 1, yStride = b.size() != 1;
  if (a.shape() == b.shape() || !xStride || !yStride) {
    if (n == 1)
      xStride = yStride = 1;
    parallel(n, grain, [&](int64_t begin, int64_t end) {
      loop(x + begin * xStride, xStride, y + begin * yStride, yStride, z + begin, end - begin);
    });
    return;
  }
  auto plan = planBroadcast<2>(result.shape(), {&a.shape(), &b.shape()});
  int inner = plan.rank - 1;
  xStride = plan.strides[0][inner];
  yStride = plan.strides[1][inner];
  forEachRun(plan, grain, [&](const std::array<int64_t, 2> &offsets, int64_t out, int64_t count) {
    loop(x + offsets[0], xStride, y + offsets[1], yStride, z + out, count);
  });
}

/// Output 0 for a broadcast of inputs i and j, in the storage of one of them if that may be had.
Tensor &broadcastOutput(KernelCall &call, size_t i, size_t j, DType type);

/// Raises Error unless both tensors have the same type.
void expectSameType(const Tensor &a, const Tensor &b);

/// z = op(x, y) for two real tensors of one type; the 16-bit types are computed in float.
void runRealBinary(RealBinary op, const Tensor &a, const Tensor &b, Tensor &result);

/// y = op(x); real types only. `result` may share x's storage.
void runRealUnary(RealUnary op, const Tensor &x, Tensor &result, double a = 0, double b = 0);

/// The elements as another type, as the Cast operator does it.
Tensor castTo(const Tensor &tensor, DType type, bool saturate = true,
              PowerRounding rounding = PowerRounding::Up);

/// The elements in the type of WideTypes that has them all, for operators too rare to be compiled
/// for every type. Raises Error for a type that is not in AllTypes.
Tensor widest(const Tensor &tensor);

} // namespace uoe::rt
