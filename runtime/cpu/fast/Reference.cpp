#include "Reference.h"
#include <cmath>

namespace uoe::rt::fast::reference {

float activate(Activation act, float value) {
  double x = value;
  auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (act) {
  case Activation::Identity:
    return value;
  case Activation::Relu:
    return value < 0 ? 0.0f : value;
  case Activation::Relu2:
    return static_cast<float>(x < 0 ? 0 : x * x);
  case Activation::Gelu:
    return static_cast<float>(x / 2 * std::erfc(-x / std::sqrt(2.0)));
  case Activation::GeluTanh:
    return static_cast<float>(
        x / 2 *
        (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))));
  case Activation::QuickGelu:
    return static_cast<float>(x * sigmoid(1.702 * x));
  case Activation::Silu:
    return static_cast<float>(x * sigmoid(x));
  case Activation::Sigmoid:
    return static_cast<float>(sigmoid(x));
  case Activation::Tanh:
    return static_cast<float>(std::tanh(x));
  case Activation::Exp:
    return static_cast<float>(std::exp(x));
  case Activation::Erf:
    return static_cast<float>(std::erf(x));
  }
  return value;
}

void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool transA, const float *b,
          int64_t ldb, bool transB, float *c, int64_t ldc, const Epilogue &e) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p)
        sum += double(transA ? a[p * lda + i] : a[i * lda + p]) *
               double(transB ? b[j * ldb + p] : b[p * ldb + j]);
      double value = double(e.alpha) * sum + (e.bias ? double(e.bias[j]) : 0);
      float result = activate(e.act, static_cast<float>(value));
      if (e.residual)
        result += e.residualScale * e.residual[i * e.ldr + j];
      c[i * ldc + j] = result;
    }
}

} // namespace uoe::rt::fast::reference
