// exp, erf, tanh and the activations on 16 lanes. The polynomials are least-squares fits reweighted
// towards the smallest largest error; the errors stated were measured on all floats of the range.
#pragma once
#include "Simd.h"
#include "runtime/cpu/fast/Activation.h"

namespace uoe::rt::fast::UOE_SIMD {

template <int N> UOE_INLINE V horner(V x, const float (&c)[N]) {
  V y = set1(c[N - 1]);
  UOE_UNROLL for (int i = N - 2; i >= 0; --i) y = fma(y, x, set1(c[i]));
  return y;
}

/// Below 2 ulp; 0 and inf beyond the range of float, NaN kept.
UOE_INLINE V exp(V x) {
  x = min(set1(89.0f), x); // these keep NaN: where one operand is NaN the second is taken
  x = max(set1(-104.0f), x);
  V n = round(x * set1(1.44269504f));
  V r = fnma(n, set1(0.693145751953125f), x); // ln 2 in two parts, the first with few bits
  r = fnma(n, set1(1.428606765330187e-6f), r);
  constexpr float c[] = {0.500000003f, 0.16666577f, 0.0416663754f, 0.00836317982f, 0.00139411058f};
  return scale(fma(r * r, horner(r, c), r) + set1(1.0f), n);
}

UOE_INLINE V sigmoid(V x) {
  return set1(1.0f) / (set1(1.0f) + exp(neg(x)));
}

UOE_INLINE V tanh(V x) {
  constexpr float c[] = {-0.333333292f, 0.133327945f, -0.0538540668f, 0.021010069f,
                         -0.00611317548f};
  V a = abs(x), s = x * x;
  V near = fma(s * x, horner(s, c), x);
  V far = set1(1.0f) - set1(2.0f) / (exp(a + a) + set1(1.0f));
  return select(less(a, set1(0.625f)), near, copySign(far, x));
}

/// erfc(a) for a >= 0.95, as the exponential of a polynomial.
UOE_INLINE V erfcFar(V a) {
  constexpr float c[] = {0.000183447541f, -1.12955685f,    -0.633262577f,   -0.108372519f,
                         0.025178995f,    -0.00419362185f, 0.000439108689f, -2.14963225e-05f};
  V clamped = min(set1(4.1f), a); // past 4.1 erf is 1 in float
  return exp(horner(clamped, c));
}
UOE_INLINE V erfNear(V x) {
  constexpr float c[] = {1.12837917f,    -0.376126271f,    0.112836002f,  -0.0268544444f,
                         0.00518953499f, -0.000802083816f, 7.8891091e-05f};
  return x * horner(x * x, c);
}
UOE_INLINE V erf(V x) {
  V a = abs(x);
  V far = copySign(set1(1.0f) - erfcFar(a), x);
  return select(less(a, set1(1.0f)), erfNear(x), select(isNan(x), x, far));
}

UOE_INLINE V gelu(V x) {
  // 1 + erf(z) is erfc(-z) for negative z: no cancellation where the tail is small.
  V z = x * set1(0.707106781f), a = abs(z), one = set1(1.0f);
  V tail = erfcFar(a);
  V far = select(less(z, set1(0.0f)), tail, set1(2.0f) - tail);
  V cdf = select(less(a, one), one + erfNear(z), far);
  // erfcFar stops at 4.1: beyond it the left tail is 0 in effect; -inf gives NaN as the formula
  // does.
  cdf = select(less(z, set1(-5.5f)), set1(0.0f), cdf);
  return set1(0.5f) * x * select(isNan(x), x, cdf);
}

template <Activation A> UOE_INLINE V apply(V x) {
  if constexpr (A == Activation::Relu)
    return max(set1(0.0f), x);
  if constexpr (A == Activation::Relu2) {
    V y = max(set1(0.0f), x);
    return y * y;
  }
  if constexpr (A == Activation::Gelu)
    return gelu(x);
  if constexpr (A == Activation::GeluTanh) {
    V cube = x * x * x;
    V u = fma(cube, set1(0.0713548163f), x * set1(1.59576912f)); // 2 sqrt(2/pi) (x + 0.044715 x^3)
    return x * sigmoid(u);
  }
  if constexpr (A == Activation::QuickGelu)
    return x * sigmoid(x * set1(1.702f));
  if constexpr (A == Activation::Silu)
    return x * sigmoid(x);
  if constexpr (A == Activation::Sigmoid)
    return sigmoid(x);
  if constexpr (A == Activation::Tanh)
    return tanh(x);
  if constexpr (A == Activation::Exp)
    return exp(x);
  if constexpr (A == Activation::Erf)
    return erf(x);
  return x;
}

/// Calls body with the activation as a constant.
template <Activation A> struct Act { static constexpr Activation value = A; };
template <typename F> UOE_INLINE void withActivation(Activation act, F &&body) {
  switch (act) {
  case Activation::Identity:
    return body(Act<Activation::Identity>());
  case Activation::Relu:
    return body(Act<Activation::Relu>());
  case Activation::Relu2:
    return body(Act<Activation::Relu2>());
  case Activation::Gelu:
    return body(Act<Activation::Gelu>());
  case Activation::GeluTanh:
    return body(Act<Activation::GeluTanh>());
  case Activation::QuickGelu:
    return body(Act<Activation::QuickGelu>());
  case Activation::Silu:
    return body(Act<Activation::Silu>());
  case Activation::Sigmoid:
    return body(Act<Activation::Sigmoid>());
  case Activation::Tanh:
    return body(Act<Activation::Tanh>());
  case Activation::Exp:
    return body(Act<Activation::Exp>());
  case Activation::Erf:
    return body(Act<Activation::Erf>());
  }
}

} // namespace uoe::rt::fast::UOE_SIMD
