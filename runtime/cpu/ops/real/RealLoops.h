// Loops over float and double arrays, compiled once per instruction set and chosen at run time.
#pragma once
#include "runtime/core/DType.h"

namespace uoe::rt {

// Functions of one argument and up to two parameters a, b (in the order of the operator's
// attributes).
// clang-format off
#define UOE_REAL_UNARY(X)                                                                          \
  X(Abs)                                                                                           \
  X(Neg)                                                                                           \
  X(Ceil)                                                                                          \
  X(Floor) X(Round) X(Sqrt) X(Reciprocal) X(Exp) X(Log) X(Sin) X(Cos) X(Tan) X(Asin) X(Acos)       \
      X(Atan) X(Sinh) X(Cosh) X(Tanh) X(Asinh) X(Acosh) X(Atanh) X(Erf) X(Sigmoid) X(Relu)         \
          X(LeakyRelu) X(ThresholdedRelu) X(Elu) X(Selu) X(Celu) X(Softplus) X(Softsign)           \
              X(HardSigmoid) X(HardSwish) X(Mish) X(GeluErf) X(GeluTanh) X(Swish) X(Sign) X(Clip)  \
                  X(Shrink) X(Square) X(Cube) X(ReciprocalSqrt)
// clang-format on

#define UOE_REAL_BINARY(X) X(Add) X(Sub) X(Mul) X(Div) X(Pow) X(Min) X(Max) X(FMod) X(Mod) X(PRelu)

// Reductions of one row.
#define UOE_REAL_ROW(X) X(Sum) X(SumAbs) X(SumSquare) X(Min) X(Max)

#define UOE_NAME(Name) Name,
enum class RealUnary { UOE_REAL_UNARY(UOE_NAME) Count };
enum class RealBinary { UOE_REAL_BINARY(UOE_NAME) Count };
enum class RealRow { UOE_REAL_ROW(UOE_NAME) Count };
#undef UOE_NAME

/// Which operands of a binary loop are vectors: both, or one and the other a single element.
enum class Operands { Both, LeftOnly, RightOnly };

/// The loops for T. The result may be the same array as an operand, but not overlap it otherwise.
template <typename T> struct RealLoopsOf {
  using Unary = void (*)(const T *x, T *y, int64_t n, T a, T b);
  using Binary = void (*)(const T *x, const T *y, T *z, int64_t n);
  using Row = T (*)(const T *x, int64_t n);
  Unary unary[static_cast<int>(RealUnary::Count)];
  Binary binary[static_cast<int>(RealBinary::Count)][3];
  Row row[static_cast<int>(RealRow::Count)];
};

struct RealLoops {
  RealLoopsOf<float> f32;
  RealLoopsOf<double> f64;
  void (*halfToFloat)(const Half *x, float *y, int64_t n);
  void (*floatToHalf)(const float *x, Half *y, int64_t n);
  void (*bfloatToFloat)(const BFloat16 *x, float *y, int64_t n);
  void (*floatToBfloat)(const float *x, BFloat16 *y, int64_t n);
};

/// The loops for the best instruction set that this machine has.
const RealLoops &realLoops();

template <typename T> const RealLoopsOf<T> &loopsOf();
template <> inline const RealLoopsOf<float> &loopsOf<float>() {
  return realLoops().f32;
}
template <> inline const RealLoopsOf<double> &loopsOf<double>() {
  return realLoops().f64;
}

template <typename T> typename RealLoopsOf<T>::Binary binaryLoop(RealBinary op, Operands operands) {
  return loopsOf<T>().binary[static_cast<int>(op)][static_cast<int>(operands)];
}

// Conversions of the 16-bit types, overloaded for templates.
inline void toFloatRow(const Half *x, float *y, int64_t n) {
  realLoops().halfToFloat(x, y, n);
}
inline void toFloatRow(const BFloat16 *x, float *y, int64_t n) {
  realLoops().bfloatToFloat(x, y, n);
}
inline void fromFloatRow(const float *x, Half *y, int64_t n) {
  realLoops().floatToHalf(x, y, n);
}
inline void fromFloatRow(const float *x, BFloat16 *y, int64_t n) {
  realLoops().floatToBfloat(x, y, n);
}

} // namespace uoe::rt
