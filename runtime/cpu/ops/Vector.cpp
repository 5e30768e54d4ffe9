#include "Vector.h"
#include <cmath>
#include <cstring>
#include <limits>

// Bodies are written once over 16-wide vectors; the compiler splits them to what the instruction
// set has. Each is forced inline into one wrapper per instruction set, and a wrapper is picked at
// the first call.
#define UOE_BODY static inline __attribute__((always_inline))
#if defined(__x86_64__)
#define UOE_DISPATCH(RESULT, NAME, PARAMETERS, ARGUMENTS)                                          \
  __attribute__((                                                                                  \
      target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))) static RESULT NAME##512 PARAMETERS { \
    return NAME##Body ARGUMENTS;                                                                   \
  }                                                                                                \
  __attribute__((target("avx2,fma"))) static RESULT NAME##256 PARAMETERS {                         \
    return NAME##Body ARGUMENTS;                                                                   \
  }                                                                                                \
  static RESULT NAME##Base PARAMETERS {                                                            \
    return NAME##Body ARGUMENTS;                                                                   \
  }                                                                                                \
  RESULT NAME PARAMETERS {                                                                         \
    static RESULT(*const chosen) PARAMETERS = choose(NAME##512, NAME##256, NAME##Base);            \
    return chosen ARGUMENTS;                                                                       \
  }
#else
#define UOE_DISPATCH(RESULT, NAME, PARAMETERS, ARGUMENTS)                                          \
  RESULT NAME PARAMETERS {                                                                         \
    return NAME##Body ARGUMENTS;                                                                   \
  }
#endif

// Vectors cross no real call: every function that takes one is forced inline.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace uoe::rt::vec {
namespace {

#if defined(__x86_64__)
template <typename F> F choose(F wide, F middle, F base) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("fma"))
    return wide;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return middle;
  return base;
}
#endif

template <typename T> struct Vector {
  static constexpr int64_t lanes = 64 / sizeof(T);
  typedef T type __attribute__((vector_size(64)));
};
typedef Vector<float>::type Floats;
typedef int32_t Ints __attribute__((vector_size(64)));

template <typename T> UOE_BODY typename Vector<T>::type load(const T *from) {
  typename Vector<T>::type value;
  std::memcpy(&value, from, 64);
  return value;
}
/// The first n elements, the rest filled.
template <typename T> UOE_BODY typename Vector<T>::type loadPart(const T *from, int64_t n, T fill) {
  T buffer[Vector<T>::lanes];
  for (int64_t i = 0; i < Vector<T>::lanes; ++i)
    buffer[i] = fill;
  std::memcpy(buffer, from, n * sizeof(T));
  return load(buffer);
}
template <typename V, typename T> UOE_BODY void store(T *to, V value) {
  std::memcpy(to, &value, 64);
}
template <typename V, typename T> UOE_BODY void storePart(T *to, V value, int64_t n) {
  std::memcpy(to, &value, n * sizeof(T));
}
template <typename T, typename V> UOE_BODY T horizontal(V value) {
  T parts[Vector<T>::lanes];
  store(parts, value);
  for (int64_t width = Vector<T>::lanes / 2; width > 0; width /= 2)
    for (int64_t i = 0; i < width; ++i)
      parts[i] += parts[i + width];
  return parts[0];
}

/// Applies body(index, load) to whole vectors, then to the rest through a buffer.
template <typename T, typename F>
UOE_BODY void eachVector(const T *x, T *y, int64_t n, T fill, F body) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    store(y + i, body(load(x + i), i, lanes));
  if (i < n)
    storePart(y + i, body(loadPart(x + i, n - i, fill), i, n - i), n - i);
}

/// exp to about 1.5 ulp: 2^k · P(r), |r| <= ln2 / 2, with saturation below -87.3 to 0 and
/// above 88.7 to inf.
UOE_BODY Floats exponential(Floats x) {
  Floats clamped = x < -87.33654f ? Floats{} - 87.33654f : x;
  clamped = clamped > 88.72283f ? Floats{} + 88.72283f : clamped;
  // Adding 1.5·2^23 rounds to the nearest integer, which lands in the low bits of the sum. The
  // floor of -126 keeps the scale normal.
  Floats shifted = clamped * 1.44269504f + 12582912.0f;
  Floats k = shifted - 12582912.0f;
  Floats r = clamped - k * 0.693359375f;
  r = r + k * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // Two factors, as 2^128 has no exponent field of its own.
  Ints exponent = (Ints)shifted - 0x4b400000;
  Ints half = exponent >> 1;
  Floats result = p * (Floats)((half + 127) << 23) * (Floats)((exponent - half + 127) << 23);
  result = x < -87.33654f ? Floats{} : result;
  result = x > 88.72283f ? Floats{} + std::numeric_limits<float>::infinity() : result;
  return x != x ? x : result;
}

/// erf as a quotient of polynomials in x², exact to about 2 ulp of 1.
UOE_BODY Floats errorFunction(Floats value) {
  Floats x = value > 4.0f ? Floats{} + 4.0f : value;
  x = x < -4.0f ? Floats{} - 4.0f : x;
  Floats s = x * x;
  Floats p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  p = p * x;
  Floats q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  return p / q;
}

UOE_BODY Floats sigmoid(Floats x) {
  return 1.0f / (1.0f + exponential(-x));
}

template <typename T> UOE_BODY T dotAny(const T *a, const T *b, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  typename Vector<T>::type first{}, second{};
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    first += load(a + i) * load(b + i);
    second += load(a + i + lanes) * load(b + i + lanes);
  }
  for (; i + lanes <= n; i += lanes)
    first += load(a + i) * load(b + i);
  T total = horizontal<T>(first + second);
  for (; i < n; ++i)
    total += a[i] * b[i];
  return total;
}

template <typename T>
UOE_BODY void dotsAny(const T *a, const T *b, int64_t stride, int64_t count, int64_t n, T *out) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    const T *rows = b + j * stride;
    typename Vector<T>::type s0{}, s1{}, s2{}, s3{};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      auto x = load(a + i);
      s0 += x * load(rows + i);
      s1 += x * load(rows + stride + i);
      s2 += x * load(rows + 2 * stride + i);
      s3 += x * load(rows + 3 * stride + i);
    }
    T t0 = horizontal<T>(s0), t1 = horizontal<T>(s1), t2 = horizontal<T>(s2),
      t3 = horizontal<T>(s3);
    for (; i < n; ++i) {
      t0 += a[i] * rows[i];
      t1 += a[i] * rows[stride + i];
      t2 += a[i] * rows[2 * stride + i];
      t3 += a[i] * rows[3 * stride + i];
    }
    out[j] = t0;
    out[j + 1] = t1;
    out[j + 2] = t2;
    out[j + 3] = t3;
  }
  for (; j < count; ++j)
    out[j] = dotAny(a, b + j * stride, n);
}

template <typename T> UOE_BODY void axpyAny(T alpha, const T *x, T *y, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    store(y + i, load(y + i) + alpha * load(x + i));
  for (; i < n; ++i)
    y[i] += alpha * x[i];
}

/// Row j begins at places[j], or without places at j·stride.
template <typename T>
UOE_BODY void combineAny(const T *alpha, const T *x, int64_t stride, const int64_t *places,
                         int64_t count, T *y, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    typename Vector<T>::type s0{}, s1{}, s2{}, s3{};
    for (int64_t j = 0; j < count; ++j) {
      const T *row = x + (places ? places[j] : j * stride) + i;
      s0 += alpha[j] * load(row);
      s1 += alpha[j] * load(row + lanes);
      s2 += alpha[j] * load(row + 2 * lanes);
      s3 += alpha[j] * load(row + 3 * lanes);
    }
    store(y + i, s0);
    store(y + i + lanes, s1);
    store(y + i + 2 * lanes, s2);
    store(y + i + 3 * lanes, s3);
  }
  for (; i + lanes <= n; i += lanes) {
    typename Vector<T>::type s{};
    for (int64_t j = 0; j < count; ++j)
      s += alpha[j] * load(x + (places ? places[j] : j * stride) + i);
    store(y + i, s);
  }
  for (; i < n; ++i) {
    T s = 0;
    for (int64_t j = 0; j < count; ++j)
      s += alpha[j] * x[(places ? places[j] : j * stride) + i];
    y[i] = s;
  }
}

template <typename T> UOE_BODY T largestAny(const T *x, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  T best = -std::numeric_limits<T>::infinity();
  int64_t i = 0;
  if (n >= lanes) {
    auto running = load(x);
    for (i = lanes; i + lanes <= n; i += lanes) {
      auto next = load(x + i);
      running = next > running ? next : running;
    }
    for (int64_t j = 0; j < lanes; ++j)
      best = running[j] > best ? running[j] : best;
  }
  for (; i < n; ++i)
    best = x[i] > best ? x[i] : best;
  return best;
}

template <typename T> UOE_BODY T sumAny(const T *x, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  typename Vector<T>::type total{};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    total += load(x + i);
  T result = horizontal<T>(total);
  for (; i < n; ++i)
    result += x[i];
  return result;
}

template <typename T> UOE_BODY T squaresAny(const T *x, T mean, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  typename Vector<T>::type total{};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto d = load(x + i) - mean;
    total += d * d;
  }
  T result = horizontal<T>(total);
  for (; i < n; ++i)
    result += (x[i] - mean) * (x[i] - mean);
  return result;
}

template <typename T>
UOE_BODY void normaliseAny(const T *x, T mean, T factor, const T *gamma, const T *beta, T *y,
                           int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto v = (load(x + i) - mean) * factor;
    if (gamma)
      v = v * load(gamma + i);
    if (beta)
      v = v + load(beta + i);
    store(y + i, v);
  }
  for (; i < n; ++i) {
    T v = (x[i] - mean) * factor;
    if (gamma)
      v = v * gamma[i];
    if (beta)
      v = v + beta[i];
    y[i] = v;
  }
}

template <typename T> UOE_BODY void addAny(const T *a, const T *b, const T *c, T *out, int64_t n) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto v = load(a + i) + load(b + i);
    store(out + i, c ? v + load(c + i) : v);
  }
  for (; i < n; ++i)
    out[i] = a[i] + b[i] + (c ? c[i] : T(0));
}

UOE_BODY float dotFBody(const float *a, const float *b, int64_t n) {
  return dotAny(a, b, n);
}
UOE_BODY double dotDBody(const double *a, const double *b, int64_t n) {
  return dotAny(a, b, n);
}
UOE_BODY int32_t dotIBody(const int16_t *a, const int16_t *b, int64_t n) {
  int32_t total = 0;
  for (int64_t i = 0; i < n; ++i)
    total += static_cast<int32_t>(a[i]) * b[i];
  return total;
}
UOE_BODY void dotsFBody(const float *a, const float *b, int64_t stride, int64_t count, int64_t n,
                        float *out) {
  dotsAny(a, b, stride, count, n, out);
}
UOE_BODY void dotsDBody(const double *a, const double *b, int64_t stride, int64_t count, int64_t n,
                        double *out) {
  dotsAny(a, b, stride, count, n, out);
}
UOE_BODY void axpyFBody(float alpha, const float *x, float *y, int64_t n) {
  axpyAny(alpha, x, y, n);
}
UOE_BODY void axpyDBody(double alpha, const double *x, double *y, int64_t n) {
  axpyAny(alpha, x, y, n);
}
UOE_BODY void combineFBody(const float *alpha, const float *x, int64_t stride,
                           const int64_t *places, int64_t count, float *y, int64_t n) {
  combineAny(alpha, x, stride, places, count, y, n);
}
UOE_BODY void combineDBody(const double *alpha, const double *x, int64_t stride,
                           const int64_t *places, int64_t count, double *y, int64_t n) {
  combineAny(alpha, x, stride, places, count, y, n);
}
UOE_BODY float largestFBody(const float *x, int64_t n) {
  return largestAny(x, n);
}
UOE_BODY float expFBody(const float *x, float shift, float *y, int64_t n) {
  Floats total{};
  eachVector(
      x, y, n, -std::numeric_limits<float>::infinity(),
      [&](Floats v, int64_t, int64_t) __attribute__((always_inline)) {
        Floats e = exponential(v - shift);
        total += e;
        return e;
      });
  return horizontal<float>(total);
}
UOE_BODY void scaleFBody(float *x, float factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    x[i] *= factor;
}
UOE_BODY float sumFBody(const float *x, int64_t n) {
  return sumAny(x, n);
}
UOE_BODY float squaresFBody(const float *x, float mean, int64_t n) {
  return squaresAny(x, mean, n);
}
UOE_BODY void normaliseFBody(const float *x, float mean, float factor, const float *gamma,
                             const float *beta, float *y, int64_t n) {
  normaliseAny(x, mean, factor, gamma, beta, y, n);
}
UOE_BODY void addFBody(const float *a, const float *b, const float *c, float *out, int64_t n) {
  addAny(a, b, c, out, n);
}

template <typename F>
UOE_BODY void activateWith(const float *x, const float *bias, float *y, int64_t n, F function) {
  eachVector(
      x, y, n, 0.0f, [&](Floats v, int64_t i, int64_t count) __attribute__((always_inline)) {
        if (bias)
          v += count == 16 ? load(bias + i) : loadPart(bias + i, count, 0.0f);
        return function(v);
      });
}

UOE_BODY void activateFBody(Activation kind, float alpha, const float *x, const float *bias,
                            float *y, int64_t n) {
  switch (kind) {
  case Activation::GeluErf:
    return activateWith(
        x, bias, y, n, [](Floats v) __attribute__((always_inline)) {
          return 0.5f * v * (1.0f + errorFunction(v * 0.70710678f));
        });
  case Activation::GeluTanh:
    // 0.5·(1 + tanh(u)) = sigmoid(2u), with u = √(2/π)·(x + 0.044715·x³).
    return activateWith(
        x, bias, y, n, [](Floats v) __attribute__((always_inline)) {
          return v * sigmoid(1.59576912f * (v + 0.044715f * v * v * v));
        });
  case Activation::QuickGelu:
    return activateWith(
        x, bias, y,
        n, [alpha](Floats v) __attribute__((always_inline)) { return v * sigmoid(alpha * v); });
  case Activation::Silu:
    return activateWith(
        x, bias, y, n, [](Floats v) __attribute__((always_inline)) { return v * sigmoid(v); });
  case Activation::Relu:
    return activateWith(
        x, bias, y, n,
        [](Floats v) __attribute__((always_inline)) { return v < 0.0f ? Floats{} : v; });
  case Activation::Identity:
    return activateWith(
        x, bias, y, n, [](Floats v) __attribute__((always_inline)) { return v; });
  }
}

UOE_DISPATCH(float, dotF, (const float *a, const float *b, int64_t n), (a, b, n))
UOE_DISPATCH(double, dotD, (const double *a, const double *b, int64_t n), (a, b, n))
UOE_DISPATCH(int32_t, dotI, (const int16_t *a, const int16_t *b, int64_t n), (a, b, n))
UOE_DISPATCH(void, dotsF,
             (const float *a, const float *b, int64_t stride, int64_t count, int64_t n, float *out),
             (a, b, stride, count, n, out))
UOE_DISPATCH(void, dotsD,
             (const double *a, const double *b, int64_t stride, int64_t count, int64_t n,
              double *out),
             (a, b, stride, count, n, out))
UOE_DISPATCH(void, axpyF, (float alpha, const float *x, float *y, int64_t n), (alpha, x, y, n))
UOE_DISPATCH(void, axpyD, (double alpha, const double *x, double *y, int64_t n), (alpha, x, y, n))
UOE_DISPATCH(void, combineF,
             (const float *alpha, const float *x, int64_t stride, const int64_t *places,
              int64_t count, float *y, int64_t n),
             (alpha, x, stride, places, count, y, n))
UOE_DISPATCH(void, combineD,
             (const double *alpha, const double *x, int64_t stride, const int64_t *places,
              int64_t count, double *y, int64_t n),
             (alpha, x, stride, places, count, y, n))
UOE_DISPATCH(float, largestF, (const float *x, int64_t n), (x, n))
UOE_DISPATCH(float, expF, (const float *x, float shift, float *y, int64_t n), (x, shift, y, n))
UOE_DISPATCH(void, scaleF, (float *x, float factor, int64_t n), (x, factor, n))
UOE_DISPATCH(float, sumF, (const float *x, int64_t n), (x, n))
UOE_DISPATCH(float, squaresF, (const float *x, float mean, int64_t n), (x, mean, n))
UOE_DISPATCH(void, normaliseF,
             (const float *x, float mean, float factor, const float *gamma, const float *beta,
              float *y, int64_t n),
             (x, mean, factor, gamma, beta, y, n))
UOE_DISPATCH(void, addF, (const float *a, const float *b, const float *c, float *out, int64_t n),
             (a, b, c, out, n))
UOE_DISPATCH(void, activateF,
             (Activation kind, float alpha, const float *x, const float *bias, float *y, int64_t n),
             (kind, alpha, x, bias, y, n))

} // namespace

float dot(const float *a, const float *b, int64_t n) {
  return dotF(a, b, n);
}
double dot(const double *a, const double *b, int64_t n) {
  return dotD(a, b, n);
}
int32_t dot(const int16_t *a, const int16_t *b, int64_t n) {
  return dotI(a, b, n);
}
void dots(const float *a, const float *b, int64_t stride, int64_t count, int64_t n, float *out) {
  dotsF(a, b, stride, count, n, out);
}
void dots(const double *a, const double *b, int64_t stride, int64_t count, int64_t n, double *out) {
  dotsD(a, b, stride, count, n, out);
}
void axpy(float alpha, const float *x, float *y, int64_t n) {
  axpyF(alpha, x, y, n);
}
void axpy(double alpha, const double *x, double *y, int64_t n) {
  axpyD(alpha, x, y, n);
}
void combine(const float *alpha, const float *x, int64_t stride, int64_t count, float *y,
             int64_t n) {
  combineF(alpha, x, stride, nullptr, count, y, n);
}
void combine(const float *alpha, const float *x, const int64_t *places, int64_t count, float *y,
             int64_t n) {
  combineF(alpha, x, 0, places, count, y, n);
}
void combine(const double *alpha, const double *x, int64_t stride, int64_t count, double *y,
             int64_t n) {
  combineD(alpha, x, stride, nullptr, count, y, n);
}
void combine(const double *alpha, const double *x, const int64_t *places, int64_t count, double *y,
             int64_t n) {
  combineD(alpha, x, 0, places, count, y, n);
}
float largest(const float *x, int64_t n) {
  return largestF(x, n);
}
double largest(const double *x, int64_t n) {
  return largestAny(x, n);
}
float expShifted(const float *x, float shift, float *y, int64_t n) {
  return expF(x, shift, y, n);
}
double expShifted(const double *x, double shift, double *y, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i)
    total += y[i] = std::exp(x[i] - shift);
  return total;
}
void scale(float *x, float factor, int64_t n) {
  scaleF(x, factor, n);
}
void scale(double *x, double factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    x[i] *= factor;
}
float sum(const float *x, int64_t n) {
  return sumF(x, n);
}
double sum(const double *x, int64_t n) {
  return sumAny(x, n);
}
float squares(const float *x, float mean, int64_t n) {
  return squaresF(x, mean, n);
}
double squares(const double *x, double mean, int64_t n) {
  return squaresAny(x, mean, n);
}
void normalise(const float *x, float mean, float factor, const float *gamma, const float *beta,
               float *y, int64_t n) {
  normaliseF(x, mean, factor, gamma, beta, y, n);
}
void normalise(const double *x, double mean, double factor, const double *gamma, const double *beta,
               double *y, int64_t n) {
  normaliseAny(x, mean, factor, gamma, beta, y, n);
}
void add(const float *a, const float *b, const float *c, float *out, int64_t n) {
  addF(a, b, c, out, n);
}
void add(const double *a, const double *b, const double *c, double *out, int64_t n) {
  addAny(a, b, c, out, n);
}
void activate(Activation kind, float alpha, const float *x, const float *bias, float *y,
              int64_t n) {
  activateF(kind, alpha, x, bias, y, n);
}
void activate(Activation kind, float alpha, const double *x, const double *bias, double *y,
              int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double v = x[i] + (bias ? bias[i] : 0.0);
    switch (kind) {
    case Activation::GeluErf:
      y[i] = 0.5 * v * (1.0 + std::erf(v * 0.70710678118654752));
      break;
    case Activation::GeluTanh:
      y[i] = 0.5 * v * (1.0 + std::tanh(0.79788456080286536 * (v + 0.044715 * v * v * v)));
      break;
    case Activation::QuickGelu:
      y[i] = v / (1.0 + std::exp(-static_cast<double>(alpha) * v));
      break;
    case Activation::Silu:
      y[i] = v / (1.0 + std::exp(-v));
      break;
    case Activation::Relu:
      y[i] = v < 0 ? 0 : v;
      break;
    case Activation::Identity:
      y[i] = v;
      break;
    }
  }
}

} // namespace uoe::rt::vec
